"""Jobs without a result, and the oldest of them."""

import time

from service.inference.job_counter import JobCounter
from service.metrics.metrics import Metrics
from service.metrics.totals import Totals


def test_the_oldest_is_the_one_that_has_waited_longest_of_those_that_are_left():
    metrics = Metrics()
    counter = JobCounter(metrics)

    def told():
        totals = Totals(metrics).read()
        jobs, oldest = totals["timbre_queue_jobs"], totals["timbre_queue_oldest_seconds"]
        return {labels: (jobs[labels][0], oldest[labels][0]) for labels in jobs}

    before = time.monotonic()
    counter.begin("a", ("toy", "live"))
    between = time.monotonic()
    counter.begin("b", ("toy", "live"))
    counter.begin("c", ("toy", "clips"))
    jobs, since = told()["toy", "live"]
    assert jobs == 2
    assert before <= since <= between
    counter.end("a", ("toy", "live"))
    jobs, since = told()["toy", "live"]
    assert jobs == 1
    assert between <= since <= time.monotonic()
    assert told()["toy", "clips"][0] == 1
    counter.end("b", ("toy", "live"))
    counter.end("c", ("toy", "clips"))
    assert told() == {("toy", "live"): (0, 0), ("toy", "clips"): (0, 0)}
