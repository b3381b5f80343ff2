"""Folders and CSV lists: what is read, and what is listed as a problem."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from training.recordings import audio
from training.recordings.collection import CollectionError
from training.recordings.load import load
from training.recordings.problems import write_problems
from training.recordings.settings import CollectionSpec


def problems(collection):
    return {problem.path.name: problem.why for problem in collection.problems}


def test_each_file_of_label_folders_is_a_source_of_its_own(tmp_path, write_sound):
    for name in ("oboe/1.wav", "oboe/2.flac", "horn/1.ogg"):
        write_sound(tmp_path / name, seconds=1.0)
    found = load(CollectionSpec(path=str(tmp_path)))
    assert found.labels == ("horn", "oboe")
    assert found.sources == ("horn/1.ogg", "oboe/1.wav", "oboe/2.flac")
    assert [(clip.labels, round(clip.seconds, 2)) for clip in found.clips][1] == (("oboe",), 1.0)
    assert not found.problems


def test_folders_of_sources_hold_folders_of_labels(by_source):
    found = load(by_source)
    assert found.sources == tuple(f"player{n}" for n in range(6))
    assert found.counts() == {"high": 6, "low": 6}


def test_one_corrupt_file_among_many_is_listed_and_the_others_are_there(tmp_path, write_sound):
    first = write_sound(tmp_path / "oboe" / "0.wav", seconds=0.2).read_bytes()
    for number in range(1, 1000):
        (tmp_path / "oboe" / f"{number}.wav").write_bytes(first[:-2] + number.to_bytes(2, "little"))
    (tmp_path / "oboe" / "500.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnonsense")
    told = []
    found = load(CollectionSpec(path=str(tmp_path)), lambda done, total: told.append((done, total)))
    assert told == [(done, 0) for done in range(1, 1001)]
    assert len(found.clips) == 999
    assert list(problems(found)) == ["500.wav"]
    assert "cannot be read as sound" in problems(found)["500.wav"]


def test_whatever_is_not_used_is_listed_with_the_reason(tmp_path, write_sound):
    for name in ("oboe/1.wav", "oboe/2.wav", "oboe/low/3.wav", "4.wav"):
        write_sound(tmp_path / name)
    (tmp_path / "oboe" / "notes.doc").write_text("x")
    (tmp_path / "oboe" / "empty.wav").touch()
    (tmp_path / "README.txt").write_text("about the collection as a whole")
    (tmp_path / "oboe" / ".hidden.wav").touch()
    (tmp_path / "horn").mkdir()
    assert problems(load(CollectionSpec(path=str(tmp_path)))) == {
        "3.wav": "is outside of LABEL/file, the layout of most files here",
        "4.wav": "is outside of LABEL/file, the layout of most files here",
        "notes.doc": "not a sound file (.doc), nor begins like one",
        "empty.wav": "the file is empty",
        "horn": "an empty folder",
    }


def test_sounds_of_any_name_are_known_by_their_first_bytes(tmp_path, write_sound):
    data = write_sound(tmp_path / "oboe" / "1.wav").read_bytes()
    for name in ("oboe/memo", "horn/memo.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data + b"\0" * 2 * len(name))
    found = load(CollectionSpec(path=str(tmp_path)))
    assert found.sources == ("horn/memo.dat", "oboe/1.wav", "oboe/memo")
    assert not found.problems


def mp3(seconds=2.0):
    file = io.BytesIO()
    sf.write(file, np.sin(np.arange(int(44_100 * seconds)) / 9) / 3, 44_100, format="MP3")
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".ogg", ".flac", ".m4a", ".mp2"])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: b"this is text, and no sound at all\n" * 40, "not a sound file of a supported"),
        (lambda: mp3()[:5000], "truncated"),
        (lambda: mp3()[:4000] + bytes(900) + mp3()[4900:], "truncated|MP3"),
        (lambda: mp3()[:4000] + b"text" * 300 + mp3()[5200:], "truncated|MP3"),
    ],
    ids=["text", "cut", "zeros", "text inside"],
)
def test_a_damaged_file_is_told_in_one_reason_and_no_library_writes_to_the_terminal(
    tmp_path, capfd, suffix, make, why
):
    (tmp_path / f"x{suffix}").write_bytes(make())
    with pytest.raises(CollectionError, match=why) as caught:
        audio.seconds_of(tmp_path / f"x{suffix}")
    with pytest.raises(CollectionError):
        audio.read(tmp_path / f"x{suffix}", rate=22_050)
    assert "pipe" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_pipes_and_names_that_are_not_utf_8_are_listed_and_end_nothing(tmp_path, write_sound):
    data = write_sound(tmp_path / "c" / "oboe" / "1.wav").read_bytes()
    os.mkfifo(tmp_path / "c" / "oboe" / "pipe.wav")
    os.mkfifo(tmp_path / "c" / "oboe" / "pipe")
    named = os.fsencode(tmp_path / "c" / "oboe") + b"/b\xe4r.wav"
    Path(os.fsdecode(named)).write_bytes(data + bytes(8))
    found = load(CollectionSpec(path=str(tmp_path / "c")))
    assert [clip.path.name for clip in found.clips] == ["1.wav"]
    assert problems(found) == {
        "pipe.wav": "a pipe, socket or device, not a file",
        "pipe": "a pipe, socket or device, not a file",
        "b\udce4r.wav": "its path is not UTF-8: rename it",
    }
    assert write_problems(found.problems, tmp_path / "problems.csv") == 1
    assert "b\\udce4r.wav,its path" in (tmp_path / "problems.csv").read_text(encoding="utf-8")


def test_links_are_followed_and_circles_are_not(tmp_path, write_sound):
    write_sound(tmp_path / "elsewhere" / "1.wav")
    (tmp_path / "c" / "oboe").mkdir(parents=True)
    (tmp_path / "c" / "horn").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "c" / "oboe" / "again").symlink_to(tmp_path / "c")
    found = load(CollectionSpec(path=str(tmp_path / "c")))
    assert [(clip.labels, clip.path.name) for clip in found.clips] == [(("horn",), "1.wav")]


def test_background_folders_train_without_a_label(tmp_path, write_sound):
    for name in ("oboe/1.wav", "street/2.wav"):
        write_sound(tmp_path / name)
    found = load(CollectionSpec(path=str(tmp_path), background=("street",)))
    assert found.labels == ("oboe",)
    assert [clip.labels for clip in found.clips] == [("oboe",), ()]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "set collection.path=FOLDER"),
        ("nowhere", "no folder or file"),
        (".", "nothing to train on"),
    ],
)
def test_a_collection_that_is_not_there_is_refused(path, message, tmp_path):
    spec = CollectionSpec(path=path and str(tmp_path / path))
    with pytest.raises(CollectionError, match=message):
        load(spec)


def csv_list(folder, text):
    (folder / "list.csv").write_text(text)
    return CollectionSpec(kind="csv", path=str(folder / "list.csv"))


def test_a_list_gives_start_end_labels_and_source(tmp_path, write_sound):
    write_sound(tmp_path / "one.wav")
    found = load(
        csv_list(
            tmp_path,
            "path,start,end,labels,source\none.wav,0.5,2,oboe; horn,anna\none.wav,2,,,anna\n",
        )
    )
    assert [(c.start, c.end, c.labels, c.source) for c in found.clips] == [
        (0.5, 2.0, ("horn", "oboe"), "anna"),
        (2.0, 3.0, (), "anna"),
    ]


def test_a_line_that_is_there_twice_counts_once_and_is_told(tmp_path, write_sound):
    write_sound(tmp_path / "one.wav")
    lines = "one.wav,0,1,oboe\none.wav,0.0,1.0,oboe\none.wav,1,2,oboe\none.wav,0,1,horn\n"
    found = load(csv_list(tmp_path, "path,start,end,labels\n" + lines))
    clips = sorted((clip.labels, clip.start) for clip in found.clips)
    assert clips == [(("horn",), 0.0), (("oboe",), 0.0), (("oboe",), 1.0)]
    assert problems(found) == {
        "one.wav": "line 3 of list.csv: the same clip as line 2; counted once"
    }


def test_a_list_without_times_and_sources_means_whole_files(tmp_path, write_sound):
    write_sound(tmp_path / "one.wav")
    (found,) = load(csv_list(tmp_path, "path,labels\none.wav,oboe\n")).clips
    assert (found.start, found.end, found.source) == (0.0, 3.0, "one.wav")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("two.wav,0,1,oboe,s", "no such file"),
        ("one.wav,2,1,oboe,s", "start 2 and end 1"),
        ("one.wav,-1,1,oboe,s", "start -1"),
        ("one.wav,0,3.06,oboe,s", "end 3.06 s is after the end of the file, 3 s"),
        ("one.wav,zero,1,oboe,s", "'zero' is not a number of seconds"),
        (",0,1,oboe,s", "no path"),
    ],
)
def test_a_line_that_cannot_be_is_a_problem_with_its_number(tmp_path, write_sound, line, why):
    write_sound(tmp_path / "one.wav")
    found = load(
        csv_list(tmp_path, f"path,start,end,labels,source\none.wav,0,3.04,oboe,s\n{line}\n")
    )
    assert len(found.clips) == 1
    (problem,) = found.problems
    assert re.search(f"line 3 of list.csv: .*{re.escape(why)}", problem.why)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("path,start", "no column labels; columns are path, start"),
        ("path,labels,lable", "unknown column lable"),
    ],
)
def test_a_list_with_other_columns_is_refused(tmp_path, head, message):
    with pytest.raises(CollectionError, match=message):
        load(csv_list(tmp_path, f"{head}\n"))


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(CollectionError, match="give the CSV file itself"):
        load(CollectionSpec(kind="csv", path=str(tmp_path)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_lists_of_spreadsheets_are_read(tmp_path, write_sound, encoding, separator):
    write_sound(tmp_path / "sounds" / "Vo\u0308gel.wav")
    rows = [
        ("Path", " Labels ", "Start", "End"),
        ("sounds\\V\u00f6gel.wav", '"Fl\u00f6te; Amsel"', '"0,5"', '"2,0"'),
    ]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    found = load(CollectionSpec(kind="csv", path=str(tmp_path / "list.csv")))
    assert found.labels == ("Amsel", "Fl\u00f6te")
    assert [(clip.start, clip.end) for clip in found.clips] == [(0.5, 2.0)]
    assert not found.problems


def test_a_comma_without_quotes_is_a_problem_and_no_label(tmp_path, write_sound):
    write_sound(tmp_path / "one.wav")
    found = load(
        csv_list(tmp_path, "path,labels,start\none.wav,oboe,0\none.wav,oboe,0,5\none.wav\n")
    )
    assert len(found.clips) == 1
    assert [problem.why.partition(": ")[0] for problem in found.problems] == [
        "line 3 of list.csv",
        "line 4 of list.csv",
    ]


def test_labels_that_look_alike_are_refused_and_one_gets_composed_letters(tmp_path, write_sound):
    write_sound(tmp_path / "anna" / "Flo\u0308te" / "1.wav")
    write_sound(tmp_path / "ben" / "cello" / "2.wav")
    assert load(CollectionSpec(path=str(tmp_path))).labels == ("Fl\u00f6te", "cello")
    for other in ("Fl\u00f6te", "cello ", "Cello", "c\u200bello"):
        place = write_sound(tmp_path / "clara" / other / "3.wav")
        with pytest.raises(CollectionError, match="give them one name"):
            load(CollectionSpec(path=str(tmp_path)))
        place.unlink()
    write_sound(tmp_path / "dora" / "Fl\u00c3\u00b6te" / "4.wav")
    (problem,) = [p for p in load(CollectionSpec(path=str(tmp_path))).problems if "4.wav" in str(p)]
    assert "decoded wrongly" in problem.why
