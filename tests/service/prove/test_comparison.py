"""What differs between a way and this process is found and named."""

import pytest

from service.prove.comparison import Found, Scored, compare

SPANS = {0: 0.0, 100: 1.0, 200: 2.0}


def found(*scores, version="1", labels=None):
    over = None if labels is None else frozenset(labels)
    windows = {100 * at: Scored({"a": a, "b": b}, over) for at, (a, b) in enumerate(scores)}
    return Found(version, windows)


OWN = found((0.1, 0.9), (0.2, 0.8), (0.3, 0.7), labels={"b"})


def verdict(other, *, padded=None):
    return compare("REST", other, OWN, spans=SPANS, padded=padded)


def test_equal_scores_pass_a_bound_of_nothing():
    same = verdict(OWN)
    assert same.passes(0.0)
    assert (same.windows, same.difference, same.start, same.troubles) == (3, 0.0, None, ())


def test_the_largest_difference_is_told_with_its_window_and_label():
    other = found((0.1, 0.9), (0.2, 0.5), (0.35, 0.7))
    differs = verdict(other)
    assert (differs.start, differs.label) == (100, "b")
    assert differs.difference == pytest.approx(0.3)
    assert not differs.passes(0.29)
    assert differs.passes(0.31)


def test_another_version_differs_whatever_its_scores():
    other = Found("2", OWN.windows)
    assert verdict(other).troubles == ("version 2, not 1",)
    assert not verdict(other).passes(1.0)


def test_missing_windows_are_counted_unless_only_the_padded_one_is():
    lacking = found((0.1, 0.9), (0.2, 0.8))
    assert verdict(lacking).troubles == ("1 of 3 windows missing, the first at 2.00 s",)
    assert verdict(lacking, padded=200).passes(0.0)
    assert not verdict(found((0.1, 0.9)), padded=200).passes(0.0)


def test_windows_that_this_process_has_not_differ():
    more = Found("1", {**OWN.windows, 150: Scored({"a": 0.0, "b": 0.0})})
    assert verdict(more).troubles == ("1 windows that this process has not",)


def test_other_labels_of_the_model_differ():
    other = Found("1", {**OWN.windows, 0: Scored({"a": 0.1, "c": 0.9})})
    assert verdict(other).troubles == ("other labels: b, c",)


def test_others_over_the_threshold_differ_where_the_way_tells_them():
    other = found((0.1, 0.9), (0.2, 0.8), (0.3, 0.7), labels={"a"})
    assert verdict(other).troubles == ("others over the threshold at 0.00 s: a, b",)
    assert verdict(found((0.1, 0.9), (0.2, 0.8), (0.3, 0.7))).passes(0.0)
