"""A client's count of windows: each is answered, told to be dropped, or missing."""

import pytest

from benchmarks.cluster.account import Account
from service.client.events import Lost, Reconnect
from service.protocol import Age, Dropped, Ready, Window

RATE = 10


def ready():
    return Ready(
        stream="s", model="m", version="1", labels=(), window=2.0, hop=1.0, sample_rate=RATE
    )


def window(start, version="1"):
    age = Age(total=1.0, features=0.1, queue=0.1, model=0.1)
    return Window(
        start=start / RATE, end=start / RATE + 2, start_sample=start, end_sample=start + 20,
        scores={}, labels=(), version=version, age_ms=age,
    )  # fmt: skip


def counted(*events):
    account = Account()
    for at, event in enumerate((ready(), *events)):
        account.add(event, now=float(at), rate=RATE)
    return account


def dropped(begin, end, reason="late"):
    return Dropped(from_sample=begin, to_sample=end, reason=reason)


@pytest.mark.parametrize(
    ("samples", "windows"), [(0, 0), (19, 0), (20, 1), (29, 1), (30, 2), (50, 4)]
)
def test_a_sound_has_as_many_windows_as_fit_into_it(samples, windows):
    assert len(counted().expected(samples)) == windows


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        ([window(0), window(10), window(20)], 0),
        ([window(0), window(20)], 1),
        ([window(0), dropped(10, 30), window(20)], 0),
        ([window(0), dropped(10, 29), window(20)], 1),  # not the whole window
        ([window(0), dropped(5, 40)], 0),  # two at once
        ([window(0), Lost(from_sample=10, to_sample=21)], 0),  # all that begin before 21
        ([window(0), Lost(from_sample=10, to_sample=20)], 1),
        ([], 3),
    ],
)
def test_what_is_neither_answered_nor_dropped_is_missing(events, missing):
    assert counted(*events).unaccounted(40) == missing


def test_windows_dropped_are_counted_by_reason_and_a_second_answer_is_seen():
    account = counted(window(0), window(0), dropped(10, 40, "overload"), dropped(30, 50))
    assert account.reasons == {"overload": 2, "late": 1}
    assert account.answered_twice == 1


def test_reconnects_versions_and_the_longest_wait_are_told():
    account = counted(
        window(0),
        Reconnect(attempt=1, wait_s=0.1, detail="gone"),
        ready(),
        window(10, version="2"),
    )
    assert (account.reconnects, list(account.versions), account.longest_wait_s) == (
        1,
        ["1", "2"],
        3.0,
    )
