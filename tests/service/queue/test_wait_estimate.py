"""The wait behind other jobs is learnt from those before, on both sides of the bound."""

import pytest

from service.queue.wait_estimate import MIN_AHEAD, WaitEstimate


def learnt(*, per_job_s, base_s=0.1, jobs=50):
    estimate = WaitEstimate()
    for ahead in range(jobs):
        estimate.record(ahead=ahead, wait_s=base_s + ahead * per_job_s)
    return estimate


def test_nothing_is_bounded_before_a_wait_is_known():
    estimate = WaitEstimate()
    assert estimate.most_ahead(1.0) is None
    assert estimate.seconds(1_000) == 0
    estimate.record(ahead=0, wait_s=5.0)
    assert estimate.most_ahead(1.0) is None


def test_the_time_of_each_job_ahead_is_learnt_and_bounds_how_many_there_may_be():
    estimate = learnt(per_job_s=0.5)
    assert estimate.seconds(10) == pytest.approx(5.1, rel=1e-3)
    assert estimate.most_ahead(5.15) == 10
    assert estimate.most_ahead(5.05) == 9


def test_a_few_are_always_admitted_so_that_a_faster_worker_is_noticed():
    estimate = learnt(per_job_s=100.0)
    assert estimate.most_ahead(1.0) == MIN_AHEAD
    for _ in range(50):
        estimate.record(ahead=1, wait_s=0.2)
    assert estimate.most_ahead(30.0) > 100


def test_one_slow_reply_changes_little():
    estimate = learnt(per_job_s=0.001)
    estimate.record(ahead=10, wait_s=2.1)
    assert estimate.seconds(100) < 5
