"""Liveness of workers, independent of Redis' clock."""

import pytest

from service.queue.liveness import ALIVE_S, Liveness


@pytest.mark.parametrize("ago", [0.0, 1.0, ALIVE_S - 0.1, ALIVE_S, 600.0])
def test_a_worker_seen_for_the_first_time_is_judged_by_the_clock_of_redis(ago):
    assert Liveness().update(1_000.0, {"w": 1_000.0 - ago}, now=5.0) == (
        ["w"] if ago < ALIVE_S else []
    )


@pytest.mark.parametrize("step", [0.0, 3_600.0, -3_600.0])
def test_a_clock_change_does_not_change_liveness(step):
    liveness = Liveness()
    liveness.update(1_000.0, {"living": 999.9, "dead": 500.0}, now=5.0)
    assert liveness.update(1_001.0 + step, {"living": 999.9, "dead": 500.0}, now=6.0) == ["living"]
    assert liveness.update(1_002.0 + step, {"living": 1_001.9 + step, "dead": 500.0}, now=7.0) == [
        "living"
    ]


def test_a_worker_without_heartbeats_is_dead_after_a_while_and_alive_with_the_next():
    liveness = Liveness()
    liveness.update(1_000.0, {"w": 1_000.0}, now=5.0)
    assert liveness.update(1_003.9, {"w": 1_000.0}, now=5.0 + ALIVE_S - 0.1) == ["w"]
    assert liveness.update(1_004.0, {"w": 1_000.0}, now=5.0 + ALIVE_S) == []
    assert liveness.update(1_009.0, {"w": 1_009.0}, now=14.0) == ["w"]
