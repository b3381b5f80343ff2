"""Folds of a cross-validation: what may be on both sides, and what may not."""

import numpy as np
import pytest

from training.pictures.embeddings.svm_folds import Parts, folds, learnt

SEVERAL = {"count": 3, "most_sources": 5, "seed": 1}


def shared(parts, values):
    return {*values[parts.train]} & {*values[parts.test]}


def test_without_sources_and_near_duplicates_each_row_is_left_out_once():
    labels = np.arange(30) % 3
    found = folds(labels, [""] * 30, **SEVERAL)
    assert len(found) == 3
    assert sorted(np.concatenate([test for _, test in found])) == list(range(30))
    assert all(sorted([*train, *test]) == list(range(30)) for train, test in found)
    assert learnt(labels, found).all()


@pytest.mark.parametrize("sources", ["none", "two", "five", "six"])
def test_near_duplicates_are_on_one_side(sources):
    # Each picture twice, once of another size.
    group = np.repeat(np.arange(30), 2)
    labels = group % 3
    number = {"none": 0 * group, "two": group % 2, "five": group % 5, "six": group % 6}[sources]
    # Some of the pictures are in two sources.
    number[1::10] = number[3::10]
    names = [f"s{one}" if sources != "none" else "" for one in number]
    found = folds(labels, names, group, **SEVERAL)
    assert len(found) == {"none": 3, "two": 2, "five": 5, "six": 3}[sources]
    for parts in found:
        assert not shared(parts, group)
        assert sources == "none" or not shared(parts, number)
        assert {*labels[parts.train]} == {0, 1, 2}
    if sources == "none":
        assert sorted(np.concatenate([test for _, test in found])) == list(range(60))


@pytest.mark.parametrize("styles", [2, 3, 5])
def test_things_that_are_in_every_source_are_new_where_a_source_is_left_out(styles):
    thing = np.repeat(np.arange(24), styles)
    labels, style = thing % 2, np.tile(np.arange(styles), 24)
    found = folds(labels, [f"s{one}" for one in style], thing, **SEVERAL)
    assert len(found) == styles
    for number, parts in enumerate(found):
        assert {*style[parts.test]} == {number}
        assert not shared(parts, thing)
        assert not shared(parts, style)
        assert {*labels[parts.train]} == {*labels[parts.test]} == {0, 1}


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_many_sources_of_few_pictures_have_as_many_folds_as_there_can_be(pictures):
    labels = np.repeat(np.arange(4), pictures)
    sources = [f"s{at}" for at in range(len(labels))]
    found = folds(labels, sources, count=5, most_sources=3, seed=1)
    assert len(found) == {1: 0, 2: 2, 3: 3}[pictures]
    for parts in found:
        assert not {*parts.train} & {*parts.test}


def test_a_class_that_is_all_near_duplicates_is_learnt_or_judged_never_both():
    labels = np.array([0] * 6 + [1] * 12)
    group = np.array([0] * 6 + [*range(1, 13)])
    found = folds(labels, [""] * 18, group, **SEVERAL)
    assert learnt(labels, found).tolist() == [False] * 6 + [True] * 12


def test_a_class_of_one_source_is_not_judged_where_that_is_left_out():
    labels, names = np.array([0, 0, 1, 1, 2, 2]), [*"ababaa"]
    found = folds(labels, names, **SEVERAL)
    assert learnt(labels, found).tolist() == [True] * 4 + [False] * 2


def test_rows_of_one_group_or_one_of_each_class_have_no_folds():
    assert folds(np.array([0, 0, 1, 1]), [""] * 4, np.zeros(4, np.int64), **SEVERAL) == []
    assert folds(np.array([0, 1, 2]), [""] * 3, **SEVERAL) == []
    assert len(folds(np.array([0, 0, 1, 1]), [""] * 4, np.arange(4) // 2, **SEVERAL)) == 2


def test_a_row_that_no_fold_leaves_out_is_not_judged():
    parts = [Parts(np.array([0, 1]), np.array([2]))]
    assert learnt(np.array([0, 1, 1, 0]), parts).tolist() == [False, False, True, False]
