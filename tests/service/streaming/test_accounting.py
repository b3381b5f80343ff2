"""Every sample has one outcome, is as old as its stream's clock says, and is gathered whole."""

import pickle
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import protocol
from service.streaming.accounting import (
    DRIFT,
    PAUSE_S,
    TOGETHER_S,
    Arrivals,
    SampleAccount,
    SampleClock,
)

RATE = 16_000


@st.composite
def histories(draw):
    """Windows in order of start, some answered, some dropped, with gaps between segments."""
    length = draw(st.integers(1, 40))
    hop = draw(st.integers(1, length))
    start, windows = 0, []
    for _ in range(draw(st.integers(0, 30))):
        windows.append((start, start + length, draw(st.booleans())))
        start += hop if draw(st.integers(0, 9)) else length + draw(st.integers(0, 50))
    return windows


@given(windows=histories(), tail=st.integers(0, 20))
def test_the_sums_equal_those_of_sets_of_samples(windows, tail):
    ledger = SampleAccount()
    answered, dropped = set(), set()
    for start, end, is_answered in windows:
        (ledger.answer if is_answered else ledger.drop)(start, end)
        (answered if is_answered else dropped).update(range(start, end))
        ledger.received = (windows[-1][1] if windows else 0) + tail
        assert ledger.processed == len(answered)
        assert ledger.dropped == len(dropped - answered)
        assert ledger.received == ledger.processed + ledger.dropped + ledger.tail
    assert ledger.windows == sum(is_answered for *_, is_answered in windows)


@given(windows=histories(), runs=st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1))
def test_silence_counts_once_and_in_answered_windows_only(windows, runs):
    account, silences, answered = SampleAccount(), set(), set()
    runs, at = cycle(runs), 0
    for start, end, is_answered in windows:
        while at < end:
            length, silent = next(runs)
            account.receive(at, at + length, silent=silent)
            silences.update(range(at, at + length) if silent else ())
            at += length
        (account.answer if is_answered else account.drop)(start, end)
        answered.update(range(start, end) if is_answered else ())
        assert account.silent == len(answered & silences)


def test_a_stream_that_is_dropped_for_ever_takes_no_more_memory():
    account, sizes = SampleAccount(), set()
    for start in range(0, 200_000, 100):
        account.receive(start, start + 50, silent=True)
        account.receive(start + 50, start + 100, silent=False)
        if start >= 1_000:
            account.drop(start - 1_000, start)
            sizes.add(len(pickle.dumps(account)))
    assert max(sizes) < 1_000


def delays_of(messages, *, rate=RATE):
    """Return how late each message is by the clock: (end in samples, time of arrival)."""
    clock, delays = SampleClock(rate), []
    for end, now in messages:
        clock.arrive(end, now)
        delays.append(now - clock.due(end))
    return delays


def steady(seconds, *, message=0.1, speed=1.0, since=50.0):
    """Return messages that arrive when their last sample is recorded."""
    count = round(seconds / message)
    return [(round(n * message * RATE), since + n * message / speed) for n in range(1, count + 1)]


def test_sound_that_comes_at_the_speed_of_its_clock_is_never_late():
    assert max(delays_of(steady(100))) < 1e-6


@pytest.mark.parametrize("message", [0.02, 0.1, 2.0])
def test_sound_that_waits_longer_and_longer_is_as_late_as_it_is(message):
    growing = [(end, now + 0.2 * (now - 50)) for end, now in steady(20, message=message)]
    late = growing[-1][1] - (50 + growing[-1][0] / RATE)
    assert delays_of(growing)[-1] == pytest.approx(late, abs=0.2 * message + 1.05 * DRIFT * 24)


@pytest.mark.parametrize("speed", [0.99, 1.01])
def test_a_clock_that_drifts_is_not_late(speed):
    assert max(delays_of(steady(2_000, speed=speed))) < 0.01


@pytest.mark.parametrize("ahead", [1.0, 30.0])
def test_sound_ahead_of_time_makes_nothing_late(ahead):
    begin = [(round(n * 0.1 * RATE), 50.0) for n in range(1, round(10 * ahead) + 1)]
    after = [(end + round(ahead * RATE), now) for end, now in steady(20)]
    assert max(delays_of(begin + after)) < 1e-6


@pytest.mark.parametrize(
    ("pause", "late"), [(PAUSE_S - 0.05, True), (PAUSE_S + 0.05, False), (60.0, False)]
)
def test_a_client_that_pauses_is_not_late_afterwards(pause, late):
    before = steady(5)
    after = [(end + before[-1][0], now + 5 + pause) for end, now in steady(5)]
    delays = delays_of(before + after)[len(before) :]
    assert (max(delays) > 0.1) is late


def test_a_burst_after_a_pause_was_late_from_its_first_message_on():
    before, clock = steady(5), SampleClock(RATE)
    for end, now in before:
        clock.arrive(end, now)
    burst = [(end + before[-1][0], 58.0) for end, _ in steady(3)]
    for end, now in burst:
        clock.arrive(end, now)
    assert [58.0 - clock.due(end) for end, _ in burst] == pytest.approx(
        [2.9 - 0.1 * n for n in range(30)], abs=DRIFT * 3.2
    )


def test_a_gap_in_which_the_server_did_not_read_is_no_pause():
    clock = SampleClock(RATE)
    for end, now in steady(5):
        clock.arrive(end, now)
    clock.arrive(round(5.1 * RATE), 65.1, may_pause=False)
    assert 65.1 - clock.due(round(5.1 * RATE)) == pytest.approx(10.0, abs=10.2 * DRIFT)


def arrivals(**fields):
    return Arrivals(protocol.Start(sample_rate=RATE, **fields))


def test_a_turn_is_due_with_the_first_message_and_then_with_the_sample_that_is_wanted():
    gathered = arrivals()
    assert gathered.add(bytes(200), 1.0)
    gathered.wanted = 300
    assert not gathered.add(bytes(398), 1.1)
    assert gathered.add(bytes(2), 1.2)
    assert gathered.end == 300


@pytest.mark.parametrize(
    "odd", [b"1", b"123", protocol.number(0, b"")], ids=["1 byte", "3 bytes", "8 bytes"]
)
def test_a_message_that_continues_nothing_is_due_at_once_and_stays_alone(odd):
    gathered = arrivals(numbered=len(odd) == 8)
    number = protocol.number if len(odd) == 8 else lambda _, pcm: pcm
    gathered.add(number(0, bytes(20)), 1.0)
    gathered.wanted = 1_000
    assert not gathered.add(number(10, bytes(20)), 1.0)
    assert gathered.add(odd, 1.0)
    gathered.add(number(20, bytes(20)), 1.0)
    gathered.add(number(30, bytes(20)), 1.0)
    assert gathered.take() == [number(0, bytes(40)), odd, number(20, bytes(40))]
    assert (gathered.take(), gathered.size) == ([], 0)


def test_numbered_messages_are_joined_up_to_a_gap_or_a_repetition():
    gathered = arrivals(numbered=True)
    for first in (0, 10, 30, 40, 40, 50):
        gathered.add(protocol.number(first, bytes(20)), 1.0)
    assert [protocol.unnumber(run)[0] for run in gathered.take()] == [0, 30, 40, 40, 50]
    assert gathered.end == 60


@given(sizes=st.lists(st.integers(0, 3), max_size=50), numbered=st.booleans())
def test_joined_messages_hold_the_bytes_of_the_single_ones(sizes, numbered):
    gathered, at, audio = arrivals(numbered=numbered), 0, b""
    for number, size in enumerate(sizes):
        pcm = bytes([number, number + 1]) * size
        gathered.add(protocol.number(at, pcm) if numbered else pcm, number)
        at, audio = at + size, audio + pcm
    runs = gathered.take()
    assert b"".join(bytes(protocol.unnumber(run)[1]) if numbered else run for run in runs) == audio


def test_each_sample_has_the_time_of_the_message_that_brought_it():
    gathered = arrivals()
    for _, now in steady(1):
        gathered.add(bytes(2 * RATE // 10), now)
    assert [gathered.times(end)[0] for end in (1, 1_600, 1_601, 16_000, 99_999)] == pytest.approx(
        [50.1, 50.1, 50.2, 51.0, 51.0]
    )
    assert gathered.sample_at(50.5) == pytest.approx(0.5 * RATE, abs=1 + RATE * DRIFT)


def test_many_tiny_messages_take_little_memory():
    gathered = arrivals()
    for number in range(10_000):
        gathered.add(bytes(2), 1.0 + number * TOGETHER_S / 100)
    assert len(gathered._ends) < 150
    assert gathered.size > 10_000 * 64
