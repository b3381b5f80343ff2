import json
import re
from pathlib import Path

import numpy as np
import pytest

from training.recordings.collection import Clip, CollectionError, collect
from training.recordings.split import PARTS, by_source, check_sides, counts, missing


def collection(sources, labels=("a", "b"), seconds=60.0):
    return collect(
        [
            Clip(Path(f"{s}-{label}.wav"), 0.0, seconds, (label,), f"s{s}")
            for s in range(sources)
            for label in labels
        ],
        [],
    )


def test_every_source_is_in_one_part_and_hours_come_near_the_shares():
    whole = collection(20)
    split = by_source(whole, (0.7, 0.15, 0.15), seed=1)
    assert [len(split.sources(part)) for part in PARTS] == [14, 3, 3]
    assert sorted(source for part in PARTS for source in split.sources(part)) == list(whole.sources)


def test_a_rare_label_reaches_every_part():
    clips = [Clip(Path(f"{n}.wav"), 0.0, 60.0, ("often",), f"s{n:02}") for n in range(30)]
    rare = [Clip(Path(f"r{n}.wav"), 0.0, 60.0, ("rare",), f"s{n:02}") for n in (3, 9, 21)]
    whole = collect([*clips, *rare], [])
    split = by_source(whole, (0.6, 0.2, 0.2), seed=5)
    assert missing(whole, split) == {"train": [], "valid": [], "test": []}


def test_a_label_of_one_source_goes_into_training():
    rare = Clip(Path("rare.wav"), 0.0, 1.0, ("rare",), "small")
    for seed in range(5):
        split = by_source(collect([*collection(3).clips, rare], []), (0.8, 0.1, 0.1), seed=seed)
        assert split.part["small"] == "train"


def test_sounds_of_nothing_reach_every_part():
    quiet = [Clip(Path(f"n{n}.wav"), 0.0, 5.0, (), f"nothing {n}") for n in range(9)]
    split = by_source(collect([*collection(12).clips, *quiet], []), (0.7, 0.15, 0.15), seed=1)
    assert {split.part[clip.source] for clip in quiet} == set(PARTS)
    assert sum(split.part[clip.source] == "train" for clip in quiet) >= 5


@pytest.mark.parametrize("seed", range(5))
def test_sources_without_labels_take_no_part_the_last_source_with_some(seed):
    quiet = [Clip(Path(f"n{n}.wav"), 0.0, 60.0, (), f"nothing {n}") for n in range(9)]
    # As unlike in size as real ones: one source is ten times the others.
    clips = [Clip(Path(f"{n}.wav"), 0.0, 60.0, ("a",), f"s{max(0, n - 9)}") for n in range(12)]
    split = by_source(collect([*clips, *quiet], []), (0.7, 0.15, 0.15), seed=seed)
    for part in PARTS:
        sources = split.sources(part)
        assert any(each.startswith("s") for each in sources), (part, sources)
        assert any(each.startswith("nothing") for each in sources), (part, sources)
    with pytest.raises(CollectionError, match="2 source"):
        by_source(collect([*clips[:11], *quiet], []), (0.7, 0.15, 0.15), seed=seed)


@pytest.mark.slow  # thousands of sources
def test_thousands_of_sources_are_divided_in_seconds():
    whole = collect(
        [Clip(Path(f"{n}.wav"), 0.0, 1 + n % 7, (str(n % 11),), f"s{n}") for n in range(5000)], []
    )
    total = counts(whole, by_source(whole, (0.7, 0.15, 0.15), seed=1))[-1]
    hours = [total[f"{part} hours"] for part in PARTS]
    assert [hour / sum(hours) for hour in hours] == pytest.approx([0.7, 0.15, 0.15], abs=0.002)


def test_the_seed_decides_and_nothing_else():
    splits = [by_source(collection(12), (0.5, 0.25, 0.25), seed=seed).part for seed in (1, 1, 2, 3)]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2] or splits[0] != splits[3]


def test_as_many_sources_as_parts_are_just_enough():
    assert sorted(by_source(collection(3), (0.9, 0.05, 0.05), seed=1).part.values()) == sorted(
        PARTS
    )
    with pytest.raises(
        CollectionError, match=r"2 source \(s0, s1\) for 3 parts .*SOURCE/LABEL/file"
    ):
        by_source(collection(2), (0.9, 0.05, 0.05), seed=1)


@pytest.mark.parametrize("count", [1, 2])
def test_of_too_few_sources_the_error_names_shares_that_they_are_enough_for(count):
    with pytest.raises(CollectionError) as told:
        by_source(collection(count), (0.7, 0.15, 0.15), seed=1)
    shares = [json.loads(text) for text in re.findall(r"split\.shares=(\[.*?\])", str(told.value))]
    assert len(shares) == count
    for each in shares:
        wanted = {part for part, share in zip(PARTS, each, strict=True) if share}
        assert set(by_source(collection(count), each, seed=1).part.values()) == wanted


def test_a_part_with_no_share_gets_nothing():
    split = by_source(collection(4), (0.5, 0.0, 0.5), seed=1)
    assert [len(split.sources(part)) for part in PARTS] == [2, 0, 2]


def test_clips_and_hours_are_counted_by_label_and_part():
    whole = collection(4, seconds=1800.0)
    rows = counts(whole, by_source(whole, (0.5, 0.25, 0.25), seed=1))
    assert [row["label"] for row in rows] == ["a", "b", "all"]
    assert (rows[0]["train clips"], rows[0]["train hours"]) == (2, 1.0)
    assert (rows[2]["train clips"], rows[2]["test hours"]) == (4, 1.0)


def test_a_label_that_a_part_lacks_is_named():
    whole = collect([*collection(3).clips, Clip(Path("c.wav"), 0.0, 9.0, ("c",), "s0")], [])
    split = by_source(whole, (0.4, 0.3, 0.3), seed=1)
    lacking = missing(whole, split)
    assert sorted(lacking.values()) == [[], ["c"], ["c"]]


def test_windows_of_one_source_on_two_sides_are_an_error():
    check_sides([0, 0, 1], [0, 0, 2], ["anna", "ben"])
    with pytest.raises(CollectionError, match="source 'ben' are on two sides: train and test"):
        check_sides(np.array([0, 1, 1]), np.array([0, 0, 2], np.uint8), ["anna", "ben"])
