"""A live window equals the whole-window function on the same samples, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.errors import Unprocessable
from features.config import DEFAULT, AudioConfig
from features.extract import compute
from features.resample import StreamingResampler, resample
from features.streaming import SampleStore, StreamingExtractor
from tests.features import oracle

SOUND = np.concatenate(
    [oracle.melody(0), oracle.noise(1), oracle.clicks(7, 30_000), oracle.melody(5)]
)


def chunks(sound, sizes):
    """Cut `sound` into chunks of the given sizes, over and over."""
    at, i = 0, 0
    while at < len(sound):
        size = sizes[i % len(sizes)]
        yield sound[at : at + size]
        at, i = at + size, i + 1


def stream(extractor, sound, sizes):
    return [window for chunk in chunks(sound, sizes) for window in extractor.feed(chunk)]


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=6),
    hop=st.sampled_from([1, 3, 22, 43, 86]).map(lambda frames: frames * 512),
    kind=st.sampled_from(["features", "log_mel", "samples"]),
    first=st.integers(0, 40_000),
)
def test_every_window_equals_the_offline_function_however_chunked(sizes, hop, kind, first):
    extractor = StreamingExtractor(hop=hop, kind=kind, first_sample=first)
    sound = SOUND[first : first + DEFAULT.window + min(3 * hop, 60_000) + 100]
    windows = stream(
        extractor, sound, [size if sum(sizes) > 2_000 else size + 2_000 for size in sizes]
    )
    starts = [window.start for window in windows]
    grid = -(-first // hop) * hop
    assert starts == list(range(grid, first + sound.size - DEFAULT.window + 1, hop))
    for window in windows:
        assert window.end - window.start == DEFAULT.window
        samples = SOUND[window.start : window.end]
        assert_array_equal(window.tensor, compute(samples, kind=kind))


@pytest.mark.parametrize("kind", ["features", "log_mel", "samples"])
@pytest.mark.parametrize("one_of", [2, 3, 50, 1_000])
def test_windows_that_are_skipped_are_not_computed_and_change_no_other(kind, one_of):
    extractor = StreamingExtractor(hop=1_024, kind=kind)
    windows = [
        window
        for chunk in chunks(SOUND[:150_000], [5_513])
        for window in extractor.feed(
            chunk, should_compute=lambda start: start // 1_024 % one_of == 0
        )
    ]
    assert [window.start for window in windows] == list(
        range(0, 150_000 - DEFAULT.window + 1, 1_024)
    )
    for window in windows:
        assert (window.tensor is not None) == (window.start // 1_024 % one_of == 0)
        if window.tensor is not None:
            assert_array_equal(window.tensor, compute(SOUND[window.start : window.end], kind=kind))


def test_it_says_where_the_next_window_ends():
    extractor = StreamingExtractor(hop=1_024, first_sample=1)
    assert extractor.due == 1_024 + DEFAULT.window
    extractor.feed(SOUND[1 : extractor.due])
    assert extractor.due == 2_048 + DEFAULT.window


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000, 96_000, 192_000])
def test_windows_of_a_resampled_stream_equal_those_of_the_whole_resampled_file(rate):
    sound = np.interp(np.arange(3 * rate) / rate, np.arange(SOUND.size) / 22_050, SOUND).astype(
        np.float32
    )
    resampler, extractor = StreamingResampler(rate, 22_050), StreamingExtractor(hop=11_264)
    windows = [
        w
        for chunk in chunks(sound, [rate // 50, 999, 1])
        for w in extractor.feed(resampler.feed(chunk))
    ]
    windows += extractor.feed(resampler.finish())
    whole = resample(sound, rate, 22_050)
    assert len(windows) == 1 + (whole.size - DEFAULT.window) // 11_264
    for window in windows:
        assert_array_equal(
            window.tensor, compute(whole[window.start : window.end], kind="features")
        )


def test_finish_gives_the_padded_rest_once():
    extractor = StreamingExtractor(hop=22_016)
    assert len(extractor.feed(SOUND[:60_000])) == 1
    assert extractor.pending == 60_000 - 44_100
    (rest,) = extractor.finish()
    assert (rest.start, rest.end) == (22_016, 60_000)
    assert_array_equal(
        rest.tensor, compute(np.pad(SOUND[22_016:60_000], (0, 44_100 - 37_984)), kind="features")
    )
    assert extractor.pending == 0
    assert extractor.finish() == []


@pytest.mark.parametrize("size", [0, 44_100])
def test_finish_gives_nothing_when_every_sample_was_in_a_window(size):
    extractor = StreamingExtractor(hop=22_016)
    extractor.feed(SOUND[:size])
    assert extractor.finish() == []
    assert extractor.pending == 0


def test_samples_before_the_first_grid_point_are_pending_and_in_no_window():
    extractor = StreamingExtractor(hop=512, first_sample=1)
    assert extractor.feed(SOUND[1:100]) == []
    assert extractor.pending == 99
    assert extractor.finish() == []


def test_one_hour_does_not_drift():
    extractor = StreamingExtractor(AudioConfig(), hop=44_032, kind="log_mel")
    hour, last = 3_600 * 22_050, None
    second = SOUND[:44_032]
    for _ in range(hour // second.size):
        for window in extractor.feed(second):
            last = window
    assert last.start % 44_032 == 0
    assert extractor.position - last.end < 44_032
    assert_array_equal(last.tensor, compute(np.concatenate([second, second[:68]]), kind="log_mel"))


@pytest.mark.parametrize("hop", [0, -512, 511, 513, 44_544])
def test_a_hop_off_the_frame_grid_or_past_the_window_is_rejected(hop):
    with pytest.raises(Unprocessable, match=f"hop {hop}"):
        StreamingExtractor(hop=hop)


@pytest.mark.parametrize("hop", [512, 44_032])
def test_the_smallest_and_largest_hop_are_taken(hop):
    assert StreamingExtractor(hop=hop).hop == hop


def test_a_negative_first_sample_is_rejected():
    with pytest.raises(Unprocessable, match="first_sample -1"):
        StreamingExtractor(hop=512, first_sample=-1)


def test_a_window_shorter_than_a_frame_is_rejected():
    with pytest.raises(Unprocessable, match="2047"):
        StreamingExtractor(AudioConfig(window=2_047), hop=512)


@pytest.mark.parametrize("window", [2_048, 2_560, 11_025, 22_528, 330_750])
def test_windows_of_other_lengths_equal_the_offline_function(window):
    config = AudioConfig(window=window)
    extractor = StreamingExtractor(config, hop=1_024)
    sound = np.tile(SOUND, 2)[: window + 2_100]
    windows = stream(extractor, sound, [5_000])
    assert len(windows) == 3
    for start, end, vector in windows:
        assert_array_equal(vector, compute(sound[start:end], kind="features", config=config))


def test_a_chunk_that_is_not_finite_is_rejected_and_the_stream_goes_on():
    extractor = StreamingExtractor(hop=11_264)
    extractor.feed(SOUND[:40_000])
    with pytest.raises(Unprocessable):
        extractor.feed(np.array([0, np.nan], np.float32))
    (window,) = extractor.feed(SOUND[40_000:44_100])
    assert_array_equal(window.tensor, compute(SOUND[:44_100], kind="features"))


@pytest.mark.parametrize("hop", [512, 1_024, 11_264, 42_496, 43_008, 44_032])
def test_the_step_from_padding_to_the_first_sample_is_no_crossing(hop):
    sound = -np.abs(oracle.noise(4)) - np.float32(0.01)
    extractor = StreamingExtractor(hop=hop)
    windows = extractor.feed(np.tile(sound, 4)[: DEFAULT.window + 3 * hop])
    assert [window.tensor[5] for window in windows] == [0, 0, 0, 0]


@pytest.mark.parametrize("frames", [21, 22, 23, 41, 42, 43, 44, 47, 50, 84, 85, 86])
@pytest.mark.parametrize("size", [44_100, 3_000])
def test_hops_that_divide_the_frames_kept_and_others_equal_the_offline_function(frames, size):
    hop = frames * 512
    config = AudioConfig(window=max(44_100, hop))
    extractor = StreamingExtractor(config, hop=hop)
    sound = np.tile(SOUND, 2)[: config.window + 3 * hop]
    windows = stream(extractor, sound, [size])
    assert len(windows) == 4
    for start, end, vector in windows:
        assert_array_equal(vector, compute(sound[start:end], kind="features", config=config))


RAMP = np.arange(1_000, dtype=np.float32)


def read(store, begin, end):
    out = np.empty(end - begin, np.float32)
    store.read(begin, out)
    return out


@pytest.fixture
def store():
    store = SampleStore(100)
    for size in (50, 1, 0, 349):
        store.append(RAMP[store.end : store.end + size])
    return store


@pytest.mark.parametrize("forgotten", [0, 100, 101, 149, 150, 151, 152, 499, 500])
def test_samples_that_are_not_forgotten_are_read_across_pieces(store, forgotten):
    store.forget(forgotten)
    begin = max(100, forgotten)
    assert (store.begin, store.end) == (begin, 500)
    for first in range(begin, 500, 7):
        for last in range(first, 501, 61):
            assert_array_equal(read(store, first, last), RAMP[first:last])
    assert_array_equal(read(store, begin, 500), RAMP[begin:500])


@pytest.mark.parametrize(("begin", "end"), [(199, 210), (490, 501), (501, 501)])
def test_samples_that_are_not_held_cannot_be_read(store, begin, end):
    store.forget(200)
    with pytest.raises(IndexError, match="only 200 to 500 are held"):
        read(store, begin, end)


def test_what_was_appended_may_change_once_the_rest_is_forgotten():
    chunk, store = RAMP[:300].copy(), SampleStore(0)
    store.append(chunk)
    store.forget(0)
    chunk[:] = -1
    assert_array_equal(read(store, 0, 300), RAMP[:300])


@pytest.mark.parametrize("forgotten", [1, 250])
def test_no_part_of_a_chunk_keeps_the_whole_in_memory(forgotten):
    store = SampleStore(0)
    store.append(RAMP)
    store.forget(forgotten)
    (piece,) = store._pieces
    assert piece.base is None
    assert piece.size == RAMP.size - forgotten


@pytest.mark.parametrize("kind", ["features", "log_mel"])
@pytest.mark.parametrize("hop", [512, 2_048, 22_016, 44_032])
def test_what_a_stream_keeps_does_not_grow(kind, hop):
    extractor = StreamingExtractor(hop=hop, kind=kind)
    extractor.feed(SOUND[:100_000])
    core, sizes = extractor._core, []
    for chunk in chunks(SOUND[:200_000], [3_333]):
        extractor.feed(chunk, should_compute=lambda start: start // hop % 3 > 0)
        samples = core.samples.end - core.samples.begin
        kept = sum(begin.size for begin in core._begins.values())
        rows = sum(len(group.values) for group in core._inner._groups)
        sizes.append((samples, kept, rows))
    assert max(samples for samples, _, _ in sizes) <= DEFAULT.window + 3_333
    assert max(kept for _, kept, _ in sizes) <= DEFAULT.window
    assert max(rows for _, _, rows in sizes) <= 87 + 2 * max(8, hop // 512)


@pytest.mark.parametrize("hop", [512, 22_016, 44_032])
def test_of_samples_a_stream_keeps_one_window(hop):
    extractor = StreamingExtractor(hop=hop, kind="samples")
    sizes = []
    for chunk in chunks(SOUND[:200_000], [3_333]):
        extractor.feed(chunk, should_compute=lambda start: start // hop % 3 > 0)
        sizes.append(extractor._core.samples.end - extractor._core.samples.begin)
    assert max(sizes) <= DEFAULT.window + 3_333


def test_a_window_of_samples_is_a_copy():
    sound = SOUND[:44_100].copy()
    (window,) = StreamingExtractor(hop=22_016, kind="samples").feed(sound)
    whole = compute(sound, kind="samples")
    sound[:] = 0
    assert_array_equal(window.tensor, SOUND[:44_100])
    assert_array_equal(whole, SOUND[:44_100])
