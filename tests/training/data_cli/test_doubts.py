"""Labels that the most similar sounds of other sources do not have."""

import csv

import numpy as np
import pytest

from tests.training.sound_models.helpers.filterbank import filterbank
from training.data_cli.doubts import NEIGHBOURS, find_doubts
from training.data_cli.embedded import EmbeddedWindows
from training.data_cli.main import main
from training.recordings.collection import Clip, CollectionError, collect
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
