"""Schedules keep their rate, statistics their order, and the search its promise."""

import numpy as np
import pytest

from benchmarks.serving import schedule


def rng():
    return np.random.default_rng(0)


def test_requests_come_at_the_rate():
    times = schedule.clip_times(5, rate=10, ramp=0, jitter=0, rng=rng())
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_the_rate_climbs_in_a_straight_line():
    times = schedule.clip_times(300, rate=100, ramp=2, jitter=0, rng=rng())
    half, full = np.searchsorted(times, [1, 2])
    assert (half, full) == (25, 100)
    assert np.diff(times[100:]) == pytest.approx(np.full(199, 0.01))


def test_jitter_only_delays_and_keeps_the_order():
    plain = schedule.chunk_times(1.0, chunk=0.1, jitter=0, rng=rng())
    late = schedule.chunk_times(1.0, chunk=0.1, jitter=0.3, rng=rng())
    assert plain == pytest.approx(np.arange(1, 11) / 10)
    assert (late >= plain).all()
    assert (late <= np.maximum.accumulate(plain + 0.3)).all()
    assert (np.diff(late) >= 0).all()
    assert not np.array_equal(late, plain)


def test_the_last_chunk_may_be_shorter():
    assert schedule.chunk_times(0.25, chunk=0.1, jitter=0, rng=rng()) == pytest.approx(
        [0.1, 0.2, 0.25]
    )


@pytest.mark.parametrize(("ramp", "last"), [(0, 0.5), (10, 10)])
def test_streams_open_within_the_ramp_or_one_hop(ramp, last):
    times = schedule.stream_times(100, ramp=ramp, hop=0.5, rng=rng())
    assert 0 <= times[0] < 0.1 * last
    assert 0.9 * last < times[-1] <= last
    assert len(set(times)) == 100


def test_percentiles_of_nothing_are_none():
    assert set(schedule.summary([]).values()) == {None}
    assert schedule.summary(range(101))["p99"] == 99


@pytest.mark.parametrize("most_good", [0, 1, 7, 99, 100, 130, 1_000, 5_000])
def test_the_largest_good_count_is_found_within_the_precision(most_good):
    tried = []

    def good(count):
        tried.append(count)
        return count <= most_good

    found = schedule.largest(good, start=100, most=2_000)
    assert found <= most_good
    assert found >= min(most_good, 2_000) - max(1, 0.05 * found)
    assert len(tried) == len(set(tried)) < 15


def test_slices_count_answers_when_they_came_and_times_when_they_were_due():
    points = [(0.0, 950.0), (0.1, 10.0), (1.5, 500.0)]
    slices = schedule.slices(points, count=2)
    assert [(each["at"], each["per_s"], each["max"]) for each in slices] == [
        (0, 2, 950),
        (1, 1, 500),
    ]


def test_the_curve_of_quantiles_ends_at_the_rarest_that_is_known():
    curve = schedule.quantiles(range(1, 1_001))
    assert curve[0] == (0, 1)
    assert curve[-1][0] == 99.9
    assert [value for _, value in curve] == sorted(value for _, value in curve)
