"""Windows on the grid, whatever the chunks, gaps, repeats and rates."""

import io
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError, Unprocessable
from features.config import DEFAULT
from features.decode import decode_sound
from features.extract import compute
from service import protocol
from service.encodings import encode
from service.streaming.windower import LiveWindow, Windower
from tests.service.conftest import noise, pcm

HOP = 11_264


def windower(**fields):
    start = protocol.Start(**{"sample_rate": 22_050, **fields})
    return Windower(start, config=DEFAULT, kind="features", min_hop=0.1, warn_every=1e9)


def feed(stream, *frames, finish=True):
    events = [event for frame in frames for events in stream.feed(frame) for event in events]
    return events + (stream.finish() if finish else [])


def windows(events):
    return [event for event in events if isinstance(event, LiveWindow)]


def spans(events):
    return [(window.start_sample, window.end_sample) for window in windows(events)]


def gaps(events):
    found = [event for event in events if isinstance(event, protocol.Dropped)]
    assert {event.reason for event in found} <= {"gap"}
    return [(event.from_sample, event.to_sample) for event in found]


SOUND = pcm(noise(5))
AS_HEARD = np.frombuffer(SOUND, "<i2").astype(np.float32) / 32_768


def test_every_window_is_that_of_the_offline_function():
    events = windows(feed(windower(), SOUND))
    assert [window.start for window in events] == [n * HOP for n in range(6)]
    for window in events:
        np.testing.assert_allclose(
            window.tensor, compute(AS_HEARD[window.start : window.end], kind="features"), rtol=1e-4
        )


@settings(max_examples=10)
@given(sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=20))
def test_chunks_of_any_size_give_the_same_windows(sizes):
    bounds = np.cumsum([0, *sizes, len(SOUND) // 2]).clip(0, len(SOUND) // 2) * 2
    frames = [SOUND[a:b] for a, b in pairwise(bounds)]
    whole, parts = windows(feed(windower(), SOUND)), windows(feed(windower(), *frames))
    assert [(window.start, window.end) for window in whole] == [
        (window.start, window.end) for window in parts
    ]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.tensor, other.tensor)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 44_101])
def test_positions_are_given_at_the_clients_rate(rate):
    stream = windower(sample_rate=rate)
    found = spans(feed(stream, pcm(noise(4.0, rate=rate))))
    assert found == [
        (round(n * HOP * rate / 22_050), round((n * HOP + 44_100) * rate / 22_050))
        for n in range(4)
    ]
    assert stream.account.received == 4 * rate


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 44_101])
def test_a_stream_begun_in_the_middle_has_the_same_windows_as_an_unbroken_one(rate):
    data = pcm(noise(6, rate=rate))
    whole = {
        window.start_sample: window for window in windows(feed(windower(sample_rate=rate), data))
    }
    begin = sorted(whole)[3]
    again = windows(feed(windower(sample_rate=rate, first_sample=begin), data[2 * begin :]))
    assert [window.start_sample for window in again] == [
        start for start in sorted(whole) if start >= begin
    ]
    for window in again:
        # The resampler did not hear what came before: only its first milliseconds differ.
        np.testing.assert_allclose(
            window.tensor, whole[window.start_sample].tensor, rtol=0.05, atol=0.5
        )


def test_a_first_sample_off_the_grid_waits_for_the_next_window():
    stream = windower(first_sample=1)
    assert spans(feed(stream, SOUND))[0] == (HOP, HOP + 44_100)


def test_a_gap_is_reported_and_no_window_spans_it():
    stream = windower(numbered=True)
    first, second = SOUND[: 2 * 50_000], SOUND
    events = feed(stream, protocol.number(0, first), protocol.number(60_000, second))
    assert gaps(events) == [(50_000, 60_000)]
    assert spans(events)[0] == (0, 44_100)
    assert all(start >= 60_000 and start % HOP == 0 for start, _ in spans(events)[1:])
    after = windows(events)[1]
    expected = compute(AS_HEARD[after.start - 60_000 : after.end - 60_000], kind="features")
    np.testing.assert_allclose(after.tensor, expected, rtol=1e-4)
    assert stream.account.received == 50_000 + len(SOUND) // 2


def test_repeats_and_overlaps_count_once():
    whole = spans(feed(windower(), SOUND))
    stream = windower(numbered=True)
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
    assert gaps(events) == []


def test_a_gap_of_centuries_costs_nothing():
    stream = windower(numbered=True)
    events = feed(stream, protocol.number(2**52, SOUND))
    assert gaps(events[:1]) == [(0, 2**52)]
    assert windows(events)[0].start % HOP == 0
    assert windows(events)[0].start >= 2**52


def test_a_long_message_is_processed_in_parts():
    assert len(list(windower().feed(SOUND))) == 4


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
def test_no_window_is_complete_before_the_sample_that_is_wanted_and_each_is_soon_after(rate):
    data, stream, at, step = pcm(noise(6, rate=rate)), windower(sample_rate=rate), 0, rate // 100
    before, after = [], []
    while (wanted := max(at, stream.wanted)) + step <= len(data) // 2:
        early = max(at, wanted - step)
        before += windows(feed(stream, data[2 * at : 2 * early], finish=False))
        at = wanted + step
        after += windows(feed(stream, data[2 * early : 2 * at], finish=False))
    assert not before
    assert len(after) >= 7


def test_an_empty_message_gives_no_event():
    assert feed(windower(), b"", finish=False) == []


def test_a_file_sent_as_samples_is_warned_about_once():
    events = feed(windower(), b"RIFF" + SOUND, b"RIFF" + SOUND)
    assert [event.kind for event in events if isinstance(event, protocol.Warn)] == ["header"]


def test_a_warning_about_a_message_after_a_gap_stands_at_its_first_sample():
    gap, warning, *_ = feed(windower(numbered=True), protocol.number(70_000, b"RIFF" + SOUND))
    assert (gap.to_sample, warning.kind, warning.from_sample) == (70_000, "header", 70_000)


STEREO = np.stack([noise(6), noise(6)], axis=1)
STEREO[2 * 22_050 :, 1] *= -1
STEREO_BYTES = {
    name: encode(STEREO, encoding=name, channels=2)
    for name in ("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le")
}


def warned(events):
    return [(each.kind, each.from_sample) for each in events if isinstance(each, protocol.Warn)]


@pytest.mark.parametrize("encoding", STEREO_BYTES)
def test_opposite_channels_are_warned_of_and_the_louder_is_heard(encoding):
    data = STEREO_BYTES[encoding]
    at = 3 * 22_050 * len(data) // len(STEREO)
    stream = windower(channels=2, encoding=encoding, first_sample=3 * 22_050)
    events = feed(stream, data[at:])
    assert warned(events) == [("opposite_channels", 3 * 22_050)]
    window = windows(events)[0]
    expected = compute(STEREO[window.start : window.end, 0].astype(np.float32), kind="features")
    np.testing.assert_allclose(window.tensor, expected, rtol=1e-2, atol=1e-2)


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=20),
    encoding=st.sampled_from(sorted(STEREO_BYTES)),
)
def test_opposition_that_begins_in_the_middle_is_heard_alike_in_chunks_of_any_size(sizes, encoding):
    data = STEREO_BYTES[encoding]
    frame = len(data) // len(STEREO)
    bounds = np.cumsum([0, *sizes, len(STEREO)]).clip(0, len(STEREO)) * frame
    frames = [data[a:b] for a, b in pairwise(bounds)]
    whole = feed(windower(channels=2, encoding=encoding), data)
    parts = feed(windower(channels=2, encoding=encoding), *frames)
    assert warned(whole) == warned(parts)
    assert [kind for kind, _ in warned(whole)] == ["opposite_channels"]
    for one, other in zip(windows(whole), windows(parts), strict=True):
        np.testing.assert_array_equal(one.tensor, other.tensor)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_opposite_channels_of_a_stream_are_those_of_the_file(rate):
    samples = np.stack([noise(5, rate=rate), noise(5, rate=rate)], axis=1)
    samples[3 * rate :, 1] *= -1
    samples = np.round(samples * 32_768) / 32_768
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    found = decode_sound(file.getvalue())
    events = windows(feed(windower(sample_rate=rate, channels=2), pcm(samples)))
    for window in events:
        expected = compute(found.samples[window.start : window.end], kind="features")
        np.testing.assert_allclose(window.tensor, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("hop", [0.05, 2.1, float("inf")])
def test_a_hop_out_of_range_is_rejected(hop):
    with pytest.raises(Unprocessable, match="hop"):
        windower(hop=hop)


@pytest.mark.parametrize("frame", [b"1", b"123"])
def test_half_a_sample_is_rejected(frame):
    with pytest.raises(InputError):
        feed(windower(), frame)
