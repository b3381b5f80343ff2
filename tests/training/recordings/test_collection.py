from pathlib import Path

import pytest

from training.recordings.collection import (
    Clip,
    CollectionError,
    Interval,
    Problem,
    collect,
    merge,
    problems_csv,
)


def clip(*labels, path="a.wav", source="s", intervals=()):
    return Clip(Path(path), 1.0, 5.0, labels, source, intervals)


def test_labels_of_a_clip_without_intervals_sound_throughout():
    assert clip("oboe").sounding(0.0, 3.0) == {"oboe": 2.0}
    assert clip("oboe").sounding(6.0, 8.0) == {"oboe": 0.0}


def test_intervals_say_when_a_label_sounds():
    one = clip(
        "oboe",
        "horn",
        intervals=(Interval(1, 2, "oboe"), Interval(2, 4, "horn"), Interval(4, 5, "oboe")),
    )
    assert one.sounding(1.5, 4.5) == {"oboe": 1.0, "horn": 2.0}


def test_a_collection_is_sorted_and_knows_its_labels_sources_and_hours():
    found = collect(
        [clip("b", path="z.wav", source="two"), clip("a", "b", path="y.wav", source="one")], []
    )
    assert [one.path.name for one in found.clips] == ["y.wav", "z.wav"]
    assert found.labels == ("a", "b")
    assert found.sources == ("one", "two")
    assert found.counts() == {"a": 1, "b": 2}
    assert found.hours == pytest.approx(8 / 3600)


def test_wanted_labels_keep_their_order():
    assert collect([clip("b"), clip("a", path="b.wav")], [], ["b", "a"]).labels == ("b", "a")


@pytest.mark.parametrize(
    ("clips", "labels", "message"),
    [
        ([], (), "nothing to train on"),
        ([clip()], (), "no clip has a label"),
        ([clip("Oboe"), clip("oboe")], (), "'Oboe' and 'oboe' differ only by case"),
        ([clip("oboe")], ("oboe", "horn"), "label 'horn' has no example"),
        ([clip("oboe")], ("horn",), r"label 'oboe' of a\.wav is not one of those wanted: horn"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_what_to_do(clips, labels, message):
    with pytest.raises(CollectionError, match=message):
        collect(clips, [], labels)


def test_the_first_problem_is_told_when_nothing_is_left():
    with pytest.raises(
        CollectionError, match=r"1 files could not be used; the first: x\.wav: the file is empty"
    ):
        collect([], [Problem(Path("x.wav"), "the file is empty")])


def test_intervals_of_one_label_that_touch_are_joined():
    parts = [
        Interval(0, 2, "a"),
        Interval(2, 3, "a"),
        Interval(1, 2, "b"),
        Interval(5, 6, "a"),
        Interval(0, 1, "a"),
    ]
    assert merge(parts) == (Interval(0, 3, "a"), Interval(1, 2, "b"), Interval(5, 6, "a"))


def test_problems_make_a_csv_file():
    assert problems_csv([Problem(Path("a,b.wav"), "empty")]) == 'path,problem\n"a,b.wav",empty\n'
