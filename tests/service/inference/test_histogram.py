"""Durations are counted in the right bucket, and quantiles are bounds of buckets."""

import pytest

from service.inference.histogram import BOUNDS_MS, Histogram


def test_each_bucket_holds_its_upper_bound_and_nothing_above():
    histogram = Histogram()
    for bound in BOUNDS_MS:
        histogram.record(bound)
        histogram.record(bound + 1e-6)
    assert histogram.counts == [1, *[2] * (len(BOUNDS_MS) - 1), 1]
    assert histogram.max_ms == BOUNDS_MS[-1] + 1e-6
    assert histogram.sum_ms == pytest.approx(2 * sum(BOUNDS_MS), rel=1e-6)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 1.0), (0.9, 1.0), (0.91, 20.0), (0.99, 20.0), (1.0, 33.0)]
)
def test_a_quantile_is_the_bound_that_so_many_do_not_exceed(share, expected):
    histogram = Histogram()
    for ms in [0.5] * 90 + [17.0] * 9 + [33.0]:
        histogram.record(ms)
    assert histogram.quantile(share) == expected


def test_a_quantile_is_never_more_than_the_largest_and_zero_of_nothing():
    histogram = Histogram()
    assert histogram.quantile(0.99) == 0.0
    histogram.record(6_000.0)
    histogram.record(0.25)
    assert (histogram.quantile(0.5), histogram.quantile(1.0)) == (1.0, 6_000.0)
