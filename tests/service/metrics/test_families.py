"""Counters, gauges, ages and histograms in a slot."""

import pytest

from service.metrics.families import LIMIT, OTHER, Age, Counter, Gauge, Histogram, Info, Largest
from service.metrics.slot import VALUES, Slot


def values_of(slot):
    return {each.labels: slot.values[each.first] for each in slot.view.series}


def test_a_counter_goes_on_and_a_gauge_begins_at_zero_in_a_successor(tmp_path):
    for total in (3, 6):
        slot = Slot(tmp_path / "a.slot")
        counter = Counter(slot, "calls", ("model",), "")
        gauge = Gauge(slot, "open", ("model",), "")
        counter.add("toy")
        counter.add("toy", by=2)
        assert slot.values[0] == total
        gauge.add("toy")
        assert slot.values[1] == 1


def test_values_lie_in_the_bucket_whose_bound_they_do_not_pass():
    slot = Slot()
    histogram = Histogram(slot, "seconds", (), "", bounds=(1, 2))
    for value in (0, 1, 1.5, 2, 2.5):
        histogram.observe(value)
    assert slot.values[:4].tolist() == [2, 2, 1, 7]


def test_labels_past_the_limit_are_counted_together():
    slot = Slot()
    counter = Counter(slot, "calls", ("model",), "")
    for number in range(LIMIT):
        counter.add(str(number))
    assert (OTHER,) not in values_of(slot)
    for number in range(LIMIT + 50):
        counter.add(str(number))
    found = values_of(slot)
    assert len(found) == LIMIT + 1
    assert found["7",] == 2
    assert found[OTHER,] == 50


def test_a_full_slot_counts_what_is_new_together_in_each_family():
    slot = Slot()
    first = Histogram(slot, "seconds", ("model",), "", bounds=range(98))
    for number in range(VALUES // 100 + 10):
        first.observe(0, str(number))
    second = Counter(slot, "calls", ("model",), "")
    second.add("toy")
    assert [each.labels for each in slot.view.series][-2:] == [(OTHER,), (OTHER,)]
    assert sum(slot.values[each.first] for each in slot.view.series) == VALUES // 100 + 11


def test_a_wrong_number_of_labels_is_an_error_that_names_them():
    with pytest.raises(ValueError, match=r"calls has the labels \('model',\)"):
        Counter(Slot(), "calls", ("model",), "").add("toy", "live")


def test_a_metric_without_labels_is_shown_from_the_start():
    slot = Slot()
    Counter(slot, "calls", (), "")
    assert values_of(slot) == {(): 0}


@pytest.mark.parametrize(
    ("kind", "one", "other", "together", "told"),
    [
        (Gauge, 2.0, 3.0, 5.0, 5.0),
        (Largest, 2.0, 3.0, 3.0, 3.0),
        (Info, 1.0, 1.0, 1.0, 1.0),
        (Info, 0.0, 0.0, 0.0, None),
        (Age, 20.0, 30.0, 20.0, 80.0),
        (Age, 0.0, 30.0, 30.0, 70.0),
        (Age, 0.0, 0.0, 0.0, 0.0),
        (Age, 0.0, 101.0, 101.0, 0.0),
    ],
)
def test_what_is_told_of_two_processes(kind, one, other, together, told):
    gauge = kind(Slot(), "g", (), "")
    assert gauge.combine(one, other) == gauge.combine(other, one) == together
    assert gauge.shown(together, 100.0) == told
