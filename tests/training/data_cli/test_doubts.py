"""Labels that the most similar sounds of other sources do not have."""

import csv
import re

import numpy as np
import pytest
import soundfile as sf

from tests.training.sound_models.helpers.filterbank import filterbank
from training.data_cli import doubts as module
from training.data_cli.doubts import NEIGHBOURS, find_doubts
from training.data_cli.embedded import EmbeddedWindows
from training.data_cli.main import main
from training.recordings.collection import Clip, CollectionError, Interval, collect
from training.recordings.settings import WindowSpec

SPEC = WindowSpec()
AXES = {"flute": [1.0, 0, 0], "horn": [0, 1.0, 0], "oboe": [0, 0, 1.0]}


def world(tmp_path, *clips):
    """A collection of (source, labels, what it sounds like), four windows each, and its doubts."""
    rng = np.random.default_rng(0)
    made, rows = [], []
    for number, (source, labels, sounds) in enumerate(clips):
        made.append(Clip(tmp_path / f"{number:02}.wav", 0.0, 5.0, tuple(labels), source))
        rows += [AXES[sounds] + rng.normal(0, 0.05, 3) for _ in range(4)]
    count = len(rows)
    rows = np.float32(rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    windows = EmbeddedWindows(np.arange(count) // 4, np.arange(count) % 4 * 1.0, rows)
    return find_doubts(collect(made, []), windows, rows, SPEC)


def right_ones(players=4):
    return [(f"p{n}", [each], each) for n in range(players) for each in ("flute", "horn")]


def test_a_recording_under_the_wrong_label_is_found_with_the_label_it_sounds_like(tmp_path):
    doubts = world(tmp_path, *right_ones(), ("p4", ["flute"], "horn"))
    (one,) = doubts.found
    assert (one.clip.path.name, one.label, one.suggested) == ("08.wav", "flute", "horn")
    assert one.share == 0
    assert one.likely == 1
    assert one.like[0].labels == ("horn",)
    assert doubts.believed


def test_right_labels_are_not_doubted(tmp_path):
    doubts = world(tmp_path, *right_ones())
    assert doubts.found == []
    assert (doubts.right, doubts.trivial) == (1.0, 0.5)


def test_recordings_of_the_same_source_do_not_confirm_each_other(tmp_path):
    wrong = [("p4", ["flute"], "horn")] * 5
    assert len(world(tmp_path, *right_ones(), *wrong).found) == 5


def test_a_label_of_one_source_is_not_doubted_but_named(tmp_path):
    doubts = world(tmp_path, *right_ones(), ("p0", ["oboe"], "horn"))
    assert doubts.found == []
    assert doubts.unjudged == ("oboe",)


def test_one_of_two_labels_can_be_in_doubt(tmp_path):
    both = ("p5", ["horn", "oboe"], "horn")
    oboes = [("p0", ["oboe"], "oboe"), ("p1", ["oboe"], "oboe")]
    doubts = world(tmp_path, *right_ones(), *oboes, both)
    assert doubts.found == []
    # What another label is suggested for is one that the recording has not.
    doubts = world(tmp_path, *right_ones(), *oboes, ("p5", ["flute", "oboe"], "horn"))
    assert {(one.label, one.suggested) for one in doubts.found} == {
        ("flute", "horn"),
        ("oboe", "horn"),
    }


def test_neighbours_that_know_no_more_than_the_most_frequent_label_are_not_believed(tmp_path):
    # All sound alike, so that neighbours vote for what most recordings are called.
    clips = [(f"p{n}", ["horn" if n < 2 else "flute"], "oboe") for n in range(10)]
    doubts = world(tmp_path, *clips)
    assert doubts.right == doubts.trivial == 0.8
    assert not doubts.believed


def test_with_fewer_windows_than_neighbours_all_of_other_sources_count(tmp_path):
    doubts = world(tmp_path, ("a", ["flute"], "flute"), ("b", ["flute"], "flute"))
    assert NEIGHBOURS > 8
    assert doubts.right == 1


def test_of_one_source_nothing_can_be_compared(tmp_path):
    with pytest.raises(CollectionError, match=r"all are of one: name where they come from"):
        world(tmp_path, ("a", ["flute"], "flute"), ("a", ["horn"], "horn"))


def in_rows(tmp_path, *clips):
    """Doubts of (source, labels, rows): the windows are given, and nothing is drawn."""
    made, rows, number = [], [], []
    for at, (source, labels, own) in enumerate(clips):
        end = 1.0 + len(own)
        made.append(Clip(tmp_path / f"{at:02}.wav", 0.0, end, tuple(labels), source))
        rows += list(own)
        number += [at] * len(own)
    rows = np.float32(rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    start = np.concatenate([np.arange(len(own), dtype=float) for _, _, own in clips])
    windows = EmbeddedWindows(np.array(number), start, rows)
    return find_doubts(collect(made, []), windows, rows, SPEC)


def fan(count, spread=0.3, angle=0.0):
    """Directions beside each other."""
    angles = angle + spread * np.linspace(-1, 1, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize(("near", "doubted"), [(9, False), (1, False), (0, True)])
def test_a_label_with_one_window_elsewhere_is_doubted_only_where_that_is_far(
    tmp_path, near, doubted
):
    # Nine windows of an owl, and the only other owl is near to some of them; all else are crows.
    owls = [*fan(near), *fan(9 - near, angle=1.5)]
    crows = [("s1", ["crow"], fan(12)), ("s2", ["crow"], fan(12, angle=1.5))]
    lone = [[1.0, 0.0]] if near else [[-1.0, 0.0]]
    doubts = in_rows(tmp_path, ("s0", ["owl"], owls), ("s1", ["owl"], lone), *crows)
    assert [one.label for one in doubts.found if one.clip.source == "s0"] == ["owl"] * doubted


@pytest.mark.parametrize(("count", "doubted"), [(49, True), (51, False)])
def test_with_half_as_many_windows_elsewhere_as_are_asked_the_limit_is_half(
    tmp_path, count, doubted
):
    # So many of a hundred windows have one of five owls among their ten neighbours.
    owls = [*fan(count, 0.001), *fan(100 - count, 0.001, angle=3.0)]
    other = [[1.0, 0.0], *fan(4, 0.001, angle=-1.5)]
    crows = [("s1", ["crow"], fan(12, 0.1)), ("s2", ["crow"], fan(12, 0.1, angle=3.0))]
    doubts = in_rows(tmp_path, ("s0", ["owl"], owls), ("s1", ["owl"], other), *crows)
    assert any(one.clip.source == "s0" for one in doubts.found) == doubted


def test_where_no_neighbour_has_a_label_none_is_right(tmp_path):
    # Each flute sounds like the background of other sources, which has no label.
    flutes = [("p0", ["flute"], "horn"), ("p1", ["flute"], "oboe")]
    background = [(f"q{n}", [], sounds) for n in range(4) for sounds in ("horn", "oboe")]
    doubts = world(tmp_path, *flutes, *background)
    assert (doubts.right, doubts.trivial, doubts.judged) == (0.0, 1.0, 2)
    assert not doubts.believed
    assert doubts.found == []


@pytest.mark.parametrize(("without", "right"), [(4, 0.5), (5, 0.0), (6, 0.0)])
def test_more_neighbours_must_have_the_label_than_have_none(tmp_path, without, right):
    # The first flute has the others and the background as its ten neighbours; they have one flute.
    first, others = [[1.0, 0.0]], [[1.0, 0.0]] * (10 - without)
    clips = [("a", ["flute"], first), ("b", ["flute"], others), ("c", [], first * without)]
    assert in_rows(tmp_path, *clips).right == right


def test_of_labels_that_as_many_neighbours_have_the_nearer_counts(tmp_path):
    # Four windows of each label in each of two sources: ten neighbours hold all of its own.
    clips = [
        (source, [label], sounds)
        for source in ("p0", "p1")
        for label, sounds in (("a flute", "oboe"), ("b horn", "flute"), ("c oboe", "horn"))
    ]
    assert world(tmp_path, *clips).right == 1.0


def test_only_windows_with_the_label_are_asked_about_it(tmp_path):
    # Of ten windows the flute sounds in one, as it does in the other source.
    def track(name, source, at):
        sounding = Interval(float(at), at + 2.0, "flute")
        return Clip(tmp_path / name, 0.0, 11.0, ("flute",), source, (sounding,))

    clips = [track("a.wav", "a", 0), track("b.wav", "b", 4)]
    clips += [Clip(tmp_path / f"h{n}.wav", 0.0, 11.0, ("horn",), f"h{n}") for n in range(3)]
    rows = np.tile(np.float32([0, 1]), (50, 1))
    rows[[0, 14]] = [1, 0]
    windows = EmbeddedWindows(np.arange(50) // 10, np.arange(50) % 10 * 1.0, rows)
    assert find_doubts(collect(clips, []), windows, rows, SPEC).found == []


def test_labels_of_one_source_each_leave_nothing_to_compare(tmp_path):
    doubts = world(tmp_path, ("a", ["flute"], "flute"), ("b", ["horn"], "horn"))
    assert (doubts.judged, doubts.unjudged, doubts.found) == (0, ("flute", "horn"), [])
    assert not doubts.believed


def test_neighbours_are_the_nearest_in_order_whatever_the_block(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
    source = np.arange(70) % 3
    cosines = rows @ rows.T
    cosines[source[:, None] == source] = -np.inf
    expected = np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]
    for block in (7, 70, 256):
        monkeypatch.setattr(module, "BLOCK", block)
        np.testing.assert_array_equal(module._neighbours(rows, source), expected)


def test_with_few_windows_elsewhere_the_rest_is_none():
    rows = np.float32([[1, 0], [1, 0.1], [0, 1]])
    near = module._neighbours(rows, np.array([0, 0, 1]))
    assert near.tolist() == [[2, -1], [2, -1], [1, 0]]


@pytest.mark.parametrize("by", [[], ["--backbone", "bands.onnx"]])
def test_check_lists_a_moved_file_and_writes_a_page_to_hear_it(
    by_source, tmp_path, monkeypatch, capsys, by
):
    monkeypatch.chdir(tmp_path)
    filterbank("bands.onnx", window=44_100)
    moved = tmp_path / "collection" / "player3" / "low" / "3.wav"
    moved.rename(moved.parents[1] / "high" / "moved.wav")
    moved.parent.rmdir()
    words = ["check", by_source.path, "--set", "cache=cache", "--doubts", *by]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "moved.wav: high (0%), or low? (100%)" in printed
    assert "1 label in doubt: doubts.csv and, to hear them, doubts.html" in printed
    with (tmp_path / "doubts.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["label"], row["suggested"]) == ("high", "low")
    assert (tmp_path / "doubts.html").read_text().count("<audio") == 2


def test_the_page_cannot_take_the_place_of_the_list(by_source, capsys):
    with pytest.raises(SystemExit):
        main(["check", by_source.path, "--doubts", "a.csv"])
    assert "--doubts names the page" in capsys.readouterr().err


def test_a_wrong_network_is_told_before_a_recording_is_read(by_source, capsys, decoded):
    assert main(["check", by_source.path, "--doubts", "--backbone", "none.onnx"]) == 1
    assert "none.onnx" in capsys.readouterr().err
    assert decoded == []


def test_a_network_without_doubts_has_no_use(by_source, capsys):
    with pytest.raises(SystemExit):
        main(["check", by_source.path, "--backbone", "none.onnx"])
    assert "--backbone says what sounds similar to --doubts" in capsys.readouterr().err


@pytest.fixture
def labelled(tmp_path, write_sound, monkeypatch):
    """SOURCE/LABEL/file, all of one source, and a broken file."""
    monkeypatch.chdir(tmp_path)
    for label, hertz in (("high", 2000), ("low", 200)):
        for number in range(2):
            write_sound(tmp_path / "one" / "p" / label / f"{number}.wav", hertz=hertz + number)
    # A header that is right, and no samples where they should be.
    flac = tmp_path / "one" / "p" / "low" / "broken.flac"
    sf.write(flac, np.random.default_rng(0).normal(0, 0.1, 66_150), 22_050)
    flac.write_bytes(flac.read_bytes()[:20_000] + bytes(60_000))
    return ["check", "one", "--set", "cache=cache"]


def test_of_one_source_problems_are_written_before_the_error_and_nothing_is_described(
    labelled, tmp_path, capsys
):
    assert main([*labelled, "--doubts"]) == 1
    out, err = capsys.readouterr()
    assert "all are of one: name where they come from" in err
    assert "broken.flac" in out
    assert "broken.flac" in (tmp_path / "problems.csv").read_text()
    assert not (tmp_path / "cache" / "embeddings").exists()


def test_a_source_whose_only_recording_is_broken_is_none(labelled, tmp_path, capsys):
    broken = tmp_path / "one" / "p" / "low" / "broken.flac"
    other = tmp_path / "one" / "q" / "low" / "broken.flac"
    other.parent.mkdir(parents=True)
    broken.rename(other)
    assert main([*labelled, "--doubts"]) == 1
    out, err = capsys.readouterr()
    assert "all are of one" in err
    assert "1 cannot be used" in out


def test_labels_of_one_source_each_are_told_in_short(tmp_path, write_sound, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(25):
        path = tmp_path / "many" / f"p{number:02}" / f"label{number:02}" / "a.wav"
        write_sound(path, hertz=300 + number, seconds=0.6)
    assert main(["check", "many", "--set", "cache=cache", "--doubts"]) == 0
    printed = capsys.readouterr().out
    assert "nothing could be compared: no recording has one label" in printed
    assert "label39 and 5 more" not in printed
    assert re.search(r"so not compared: label00, .*label19 and 5 more", printed)
    assert "0%" not in printed


def test_silence_is_told_and_not_compared(by_source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sf.write(tmp_path / "collection" / "player0" / "low" / "s.wav", np.zeros(66_150), 22_050)
    assert main(["check", by_source.path, "--set", "cache=cache", "--doubts"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"nothing sounds in it, so not compared: \S*s\.wav from 0 to 3 s", printed)
    assert "0 labels in doubt" in printed
