import pytest

from training.recordings.collection import Interval
from training.recordings.load import load
from training.recordings.settings import CollectionSpec


def read(folder):
    return load(CollectionSpec(kind="audacity", path=str(folder)))


def test_regions_become_intervals_and_gaps_count_as_nothing(tmp_path, write_sound):
    write_sound(tmp_path / "garden" / "dawn.wav", seconds=10)
    track = (
        "0.500000\t2.000000\tblackbird\n\\\t1800.0\t4000.0\n"
        "1.500000\t4.000000\trobin;blackbird\n6,0\t99,0\trobin\n"
    )
    (tmp_path / "garden" / "dawn.txt").write_text(track)
    (clip,) = read(tmp_path).clips
    assert clip.source == "garden"
    assert clip.labels == ("blackbird", "robin")
    assert clip.intervals == (
        Interval(0.5, 4.0, "blackbird"),
        Interval(1.5, 4.0, "robin"),
        Interval(6.0, pytest.approx(10.0), "robin"),
    )


def test_a_file_right_under_the_root_is_its_own_source(tmp_path, write_sound):
    write_sound(tmp_path / "dawn.wav")
    (tmp_path / "dawn.txt").write_text("0\t1\trobin\n")
    assert read(tmp_path).sources == ("dawn.wav",)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1\t1\trobin", "'robin' is a point"),
        ("3\t4\trobin", "is outside of the sound, 3 s"),
        ("-1\t1\trobin", "is outside"),
        ("0\t1\t", "without a label"),
        ("0;1;robin", "is not START, tab, END, tab, LABEL"),
    ],
)
def test_a_line_that_cannot_be_is_a_problem_and_the_others_hold(tmp_path, write_sound, line, why):
    write_sound(tmp_path / "dawn.wav")
    (tmp_path / "dawn.txt").write_text(f"0\t1\trobin\n{line}\n")
    found = read(tmp_path)
    assert len(found.clips[0].intervals) == 1
    (problem,) = found.problems
    assert problem.why.startswith("line 2: ")
    assert why in problem.why


def test_sounds_and_tracks_without_each_other_are_listed(tmp_path, write_sound):
    for name in ("one", "two", "broken"):
        write_sound(tmp_path / f"{name}.wav")
    (tmp_path / "broken.wav").write_bytes(b"noise")
    for name in ("one", "three", "broken"):
        (tmp_path / f"{name}.txt").write_text("0\t1\trobin\n")
    problems = {problem.path.name: problem.why for problem in read(tmp_path).problems}
    assert problems.keys() == {"two.wav", "three.txt", "broken.wav"}
    assert problems["two.wav"] == "no label track two.txt is beside it"
    assert problems["three.txt"] == "no sound of this name is beside it"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_line_ends_clocks_and_decimal_commas_are_read(
    tmp_path, write_sound, encoding, end
):
    write_sound(tmp_path / "dawn.wav", seconds=4.0)
    track = ["0,5\t1,5\tAmsel", "0:01.5\t00:00:02,5\tFl\u00f6te \u2028", "2.5\t3\tFlo\u0308te"]
    (tmp_path / "dawn.txt").write_bytes((end.join(track) + end).encode(encoding))
    (clip,) = read(tmp_path).clips
    assert clip.labels == ("Amsel", "Fl\u00f6te")
    assert clip.intervals == (Interval(0.5, 1.5, "Amsel"), Interval(1.5, 3.0, "Fl\u00f6te"))


def test_another_encoding_is_refused_until_it_is_named(tmp_path, write_sound):
    for name in ("dawn", "dusk"):
        write_sound(tmp_path / f"{name}.wav")
    (tmp_path / "dawn.txt").write_bytes("0\t1\tFl\u00f6te".encode("cp1252"))
    (tmp_path / "dusk.txt").write_text("0\t1\trobin")
    found = read(tmp_path)
    assert found.labels == ("robin",)
    assert "line 1: byte 0xf6 is not UTF-8" in found.problems[0].why
    spec = CollectionSpec(kind="audacity", path=str(tmp_path), encoding="cp1252")
    assert load(spec).labels == ("Fl\u00f6te", "robin")
