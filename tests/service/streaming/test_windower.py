"""The stream without its socket: windows on the grid, whatever the chunks, gaps and repeats."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError, Unprocessable
from features.config import DEFAULT
from features.extract import compute
from features.resample import StreamingResampler
from features.streaming import StreamingExtractor
from service import protocol
from service.streaming.windower import Gap, LiveWindow, Windower
from tests.service.conftest import noise, pcm

HOP = 11_264


def session(**fields):
    start = protocol.Start(**{"sample_rate": 22_050, **fields})
    return Windower(start, config=DEFAULT, kind="features", min_hop=0.1, warn_every=1e9)


def feed(stream, *frames, finish=True):
    events = [event for frame in frames for events in stream.take(frame) for event in events]
    return events + (stream.finish() if finish else [])


def cuts(events):
    return [event for event in events if isinstance(event, LiveWindow)]


def spans(events):
    return [(cut.start_sample, cut.end_sample) for cut in cuts(events)]


SOUND = pcm(noise(5))
AS_HEARD = np.frombuffer(SOUND, "<i2").astype(np.float32) / 32_768


def test_every_window_is_that_of_the_offline_function():
    events = cuts(feed(session(), SOUND))
    assert [cut.start for cut in events] == [n * HOP for n in range(6)]
    for cut in events:
        np.testing.assert_allclose(
            cut.tensor, compute(AS_HEARD[cut.start : cut.end], kind="features"), rtol=1e-4
        )


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=20))
def test_chunks_of_any_size_give_the_same_windows(sizes):
    bounds = np.cumsum([0, *sizes, len(SOUND) // 2]).clip(0, len(SOUND) // 2) * 2
    frames = [SOUND[a:b] for a, b in pairwise(bounds)]
    whole, parts = cuts(feed(session(), SOUND)), cuts(feed(session(), *frames))
    assert [(cut.start, cut.end) for cut in whole] == [(cut.start, cut.end) for cut in parts]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.tensor, other.tensor)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 44_101])
def test_positions_are_told_at_the_clients_rate(rate):
    stream = session(sample_rate=rate)
    found = spans(feed(stream, pcm(noise(4.0, rate=rate))))
    assert found == [
        (round(n * HOP * rate / 22_050), round((n * HOP + 44_100) * rate / 22_050))
        for n in range(4)
    ]
    assert stream.account.received == 4 * rate


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 44_101])
def test_a_stream_begun_in_the_middle_has_the_same_windows_as_an_unbroken_one(rate):
    data = pcm(noise(6, rate=rate))
    whole = {cut.start_sample: cut for cut in cuts(feed(session(sample_rate=rate), data))}
    begin = sorted(whole)[3]
    again = cuts(feed(session(sample_rate=rate, first_sample=begin), data[2 * begin :]))
    assert [cut.start_sample for cut in again] == [
        start for start in sorted(whole) if start >= begin
    ]
    for cut in again:
        # The resampler did not hear what came before: only its first milliseconds differ.
        np.testing.assert_allclose(cut.tensor, whole[cut.start_sample].tensor, rtol=0.05, atol=0.5)


def test_a_first_sample_off_the_grid_waits_for_the_next_window():
    stream = session(first_sample=1)
    assert spans(feed(stream, SOUND))[0] == (HOP, HOP + 44_100)


def test_a_gap_is_told_and_nothing_is_cut_across_it():
    stream = session(numbered=True)
    first, second = SOUND[: 2 * 50_000], SOUND
    events = feed(stream, protocol.number(0, first), protocol.number(60_000, second))
    assert [event for event in events if isinstance(event, Gap)] == [Gap(50_000, 60_000)]
    assert spans(events)[0] == (0, 44_100)
    assert all(start >= 60_000 and start % HOP == 0 for start, _ in spans(events)[1:])
    after = cuts(events)[1]
    expected = compute(AS_HEARD[after.start - 60_000 : after.end - 60_000], kind="features")
    np.testing.assert_allclose(after.tensor, expected, rtol=1e-4)
    assert stream.account.received == 50_000 + len(SOUND) // 2


def test_repeats_and_overlaps_count_once():
    whole = spans(feed(session(), SOUND))
    stream = session(numbered=True)
    pieces = [
        (0, 40_000),
        (0, 40_000),
        (30_000, 60_000),
        (59_999, 60_000),
        (10, 20),
        (50_000, len(SOUND) // 2),
    ]
    events = feed(stream, *(protocol.number(a, SOUND[2 * a : 2 * b]) for a, b in pieces))
    assert spans(events) == whole
    assert stream.account.received == len(SOUND) // 2
    assert not any(isinstance(event, Gap) for event in events)


def test_a_gap_of_centuries_costs_nothing():
    stream = session(numbered=True)
    events = feed(stream, protocol.number(2**52, SOUND))
    assert events[0] == Gap(0, 2**52)
    assert cuts(events)[0].start % HOP == 0
    assert cuts(events)[0].start >= 2**52


def test_a_long_message_is_worked_on_in_parts():
    assert len(list(session().take(SOUND))) > 10


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
def test_small_messages_are_gathered_but_no_window_waits_for_more_than_it_needs(rate):
    data, size = pcm(noise(4, rate=rate)), 2 * (rate // 100)
    stream, ready, soonest, at_work = session(sample_rate=rate), {}, {}, 0
    resampler, extractor = StreamingResampler(rate, 22_050), StreamingExtractor(hop=HOP)
    for n in range(400):
        frame = data[n * size : (n + 1) * size]
        ready |= {cut.start: n for cut in cuts(feed(stream, frame, finish=False))}
        at_work += not stream._gathered
        samples = resampler.feed(np.frombuffer(frame, "<i2").astype(np.float32))
        soonest |= {window.start: n for window in extractor.feed(samples)}
    assert ready == soonest
    assert at_work < 400 / 5


def test_an_empty_message_is_nothing():
    assert feed(session(), b"", finish=False) == []


def test_a_file_sent_as_samples_is_warned_about_once():
    events = feed(session(), b"RIFF" + SOUND, b"RIFF" + SOUND)
    assert [event.kind for event in events if isinstance(event, protocol.Warn)] == ["header"]


@pytest.mark.parametrize("hop", [0.05, 2.1, float("inf")])
def test_a_hop_out_of_range_is_refused(hop):
    with pytest.raises(Unprocessable, match="hop"):
        session(hop=hop)


@pytest.mark.parametrize("frame", [b"1", b"123"])
def test_half_a_sample_is_refused(frame):
    with pytest.raises(InputError):
        feed(session(), frame)
