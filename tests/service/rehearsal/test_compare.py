"""What became of events between two versions."""

import pytest

from service.rehearsal.compare import Heard, changes


def heard(start, end, *, label="flute", peak=0.9):
    return Heard(label, start, end, peak)


def kinds(before, after):
    return [(each.kind, each.event.start) for each in changes(before, after)]


def test_an_event_of_one_side_only_is_won_or_lost():
    assert kinds([heard(1, 2)], [heard(4, 5)]) == [("lost", 1), ("won", 4)]
    assert kinds([], []) == kinds([heard(1, 2)], [heard(1, 2)]) == []


@pytest.mark.parametrize(
    ("start", "end", "moved"),
    [(1.5, 5, False), (1.51, 5, True), (1, 5.5, False), (1, 5.51, True), (0.5, 4.5, False)],
)
def test_an_event_moves_when_onset_or_offset_do_by_more_than_a_hop(start, end, moved):
    assert kinds([heard(1, 5)], [heard(start, end)]) == ([("moved", start)] if moved else [])


@pytest.mark.parametrize(("start", "found"), [(1.99, ["moved"]), (2.0, ["lost", "won"])])
def test_events_that_only_touch_are_two(start, found):
    assert [kind for kind, _ in kinds([heard(1, 2)], [heard(start, 3.4)])] == found


def test_labels_have_nothing_to_do_with_each_other():
    assert kinds([heard(1, 2)], [heard(1, 2, label="oboe")]) == [("lost", 1), ("won", 1)]


def test_of_an_event_that_falls_apart_the_longest_part_is_it_and_the_rest_is_won():
    parts = [heard(0, 2), heard(3, 9), heard(9.5, 10)]
    assert kinds([heard(0, 10)], parts) == [("won", 0), ("moved", 3), ("won", 9.5)]
    assert kinds(parts, [heard(0, 10)]) == [("lost", 0), ("moved", 0), ("lost", 9.5)]
