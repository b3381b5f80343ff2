"""Event-based scores on cases that can be counted by hand."""

import itertools

import numpy as np
import pytest

from training.evaluation.event_scores import (
    LENGTH_SHARE,
    NOTHING,
    Counts,
    Span,
    count,
    joined,
    matched,
    onset_errors,
    total,
)

TRUE = [Span(1.0, 3.0), Span(10.0, 20.0)]


@pytest.mark.parametrize(("late", "right"), [(0.25, 1), (0.26, 0), (-0.25, 1), (-0.26, 0)])
def test_an_onset_within_the_collar_is_right(late, right):
    found = [Span(1.0 + late, 3.0)]
    assert count(TRUE, found, collar=0.25) == Counts(right, 1, 2)
    assert count(TRUE, found, collar=0.25, offsets=False) == Counts(right, 1, 2)


@pytest.mark.parametrize(
    ("event", "end", "right"),
    [
        (Span(1.0, 1.2), 1.45, 1),  # short: the collar
        (Span(1.0, 1.2), 1.46, 0),
        (Span(1.0, 5.0), 7.0, 1),  # long: half of the length
        (Span(1.0, 5.0), 7.01, 0),
        (Span(1.0, 5.0), 3.0, 1),
        (Span(1.0, 5.0), 2.99, 0),
    ],
)
def test_an_offset_has_the_collar_or_half_of_the_true_length(event, end, right):
    found = [Span(1.0, end)]
    assert count([event], found, collar=0.25).right == right
    assert count([event], found, collar=0.25, offsets=False).right == 1


def test_each_event_counts_once():
    assert count([Span(1, 2)], [Span(1, 2), Span(1, 2)], collar=0.25) == Counts(1, 2, 1)
    assert count([Span(1, 2), Span(1.1, 2)], [Span(1, 2)], collar=0.25) == Counts(1, 1, 2)


def test_the_matching_with_the_most_pairs_counts():
    """The first true event has two neighbours, the second only the one nearest to the first."""
    truth, found = [Span(1.0, 2.0), Span(1.4, 2.4)], [Span(1.1, 2.1), Span(0.8, 1.8)]
    assert sorted(matched(truth, found, collar=0.3)) == [(0, 1), (1, 0)]


def test_no_matching_has_more_pairs():
    rng = np.random.default_rng(0)
    for _ in range(50):
        truth, found = ([Span(at, at + 1) for at in rng.uniform(0, 4, n)] for n in (4, 5))
        most = max(
            sum(
                abs(one.start - other.start) <= 0.5 and abs(one.end - other.end) <= 0.5
                for one, other in zip(truth, order, strict=False)
            )
            for order in itertools.permutations(found)
        )
        assert count(truth, found, collar=0.5).right == most


def test_figures_are_those_of_all_recordings_together():
    both = total([Counts(1, 2, 3), Counts(1, 2, 1)])
    assert both == Counts(2, 4, 4)
    assert (both.precision, both.recall, both.f1) == (0.5, 0.5, 0.5)
    assert total([]) == NOTHING


def test_what_nothing_supports_is_none():
    assert (Counts(0, 0, 3).precision, Counts(0, 0, 3).f1) == (None, 0)
    assert Counts(0, 0, 3).recall == 0
    assert (Counts(0, 2, 0).precision, Counts(0, 2, 0).f1) == (0, None)
    assert Counts(0, 2, 0).recall is None
    assert count([], [], collar=1) == NOTHING


def test_an_onset_error_is_positive_where_the_event_is_told_late():
    found = [Span(1.5, 3), Span(9.9, 12), Span(30, 31)]
    errors = onset_errors(TRUE, found, reach=2.0)
    assert sorted(errors) == pytest.approx([-0.1, 0.5])
    assert onset_errors(TRUE, found, reach=0.4) == pytest.approx([-0.1])


def test_an_onset_error_is_of_the_nearest_pair():
    assert onset_errors([Span(1, 9)], [Span(0, 1), Span(1.2, 9)], reach=2) == pytest.approx([0.2])
    assert len(onset_errors([Span(1, 2), Span(2, 3)], [Span(1.4, 9)], reach=2)) == 1


def test_short_pauses_do_not_divide_an_event():
    events = [Span(4, 5), Span(0, 1), Span(2, 3), Span(2.2, 2.5)]
    assert joined(events, pause=1.0) == [Span(0, 5)]
    assert joined(events, pause=0.99) == [Span(0, 1), Span(2, 3), Span(4, 5)]
    assert LENGTH_SHARE == 0.5
