"""A heartbeat is told on, and overdue after its time."""

import pytest

from service.server.heartbeat import HEARTBEAT_TIMEOUT_S, Heartbeat


def test_each_heartbeat_is_told():
    told = []
    heartbeat = Heartbeat(lambda: told.append(1))
    heartbeat()
    heartbeat()
    assert told == [1, 1]


@pytest.mark.parametrize(
    ("age_s", "overdue"),
    [(0, False), (HEARTBEAT_TIMEOUT_S - 1, False), (HEARTBEAT_TIMEOUT_S, True)],
)
def test_it_is_overdue_past_its_time_and_not_before_and_no_more_after_the_next(age_s, overdue):
    heartbeat = Heartbeat()
    heartbeat._last -= age_s
    assert bool(heartbeat.overdue_s) == overdue
    heartbeat()
    assert heartbeat.overdue_s == 0
