"""Load shedding lasts from the first dropped window until none was dropped for a while."""

import pytest

from service.inference.load_shedding import QUIET_S, LoadShedder


def test_without_a_dropped_window_no_load_is_shed():
    assert LoadShedder().duration_s(1e9) == 0.0


def test_load_shedding_lasts_as_long_as_no_pause_is_longer_than_the_bound():
    shedder = LoadShedder()
    for number in range(5):
        shedder.record(100.0 + number * QUIET_S)
    assert shedder.duration_s(100.0 + 5 * QUIET_S) == pytest.approx(5 * QUIET_S)
    assert shedder.duration_s(100.0 + 5 * QUIET_S + 1e-6) == 0.0


def test_after_a_quiet_time_it_begins_anew():
    shedder = LoadShedder()
    shedder.record(100.0)
    shedder.record(100.0 + QUIET_S + 1e-6)
    assert shedder.duration_s(101.0 + QUIET_S + 1e-6) == pytest.approx(1.0)


def test_drops_of_one_model_count_for_it_and_for_all_together():
    shedder = LoadShedder()
    shedder.record(10.0, model="a")
    shedder.record(11.5, model="b")
    assert shedder.duration_s(12.0) == 2.0
    assert shedder.duration_s(12.0, model="a") == 2.0
    assert shedder.duration_s(12.0, model="b") == 0.5
    assert shedder.duration_s(12.0, model="c") == 0.0
    assert shedder.duration_s(10.0 + QUIET_S + 0.1, model="a") == 0.0
    assert shedder.duration_s(11.5 + QUIET_S) == 1.5 + QUIET_S
