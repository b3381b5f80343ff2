"""Sound is kept around events, within its bounds, and not otherwise."""

import wave

import numpy as np
import pytest

from service.monitor.kept_sound import LONGEST_S, Clip, RecentSound, write_clip

RATE = 1_000


def ramp(start, end, channels=1):
    """Samples that tell where they are."""
    values = np.arange(start, end, dtype=np.float64) / (2**15 - 1)
    return np.repeat(values[:, None], channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("step", [7, 100, 3_000])
def test_a_clip_is_the_event_and_what_is_around_it_as_soon_as_it_is_there(step, channels, tmp_path):
    recent = RecentSound(RATE, around_s=0.5)
    recent.keep(tmp_path / "a.wav", 1_000, 2_000)
    for at in range(0, 6_000, step):
        clips = recent.add(ramp(at, at + step, channels))
        if clips:
            break
    (clip,) = clips
    assert clip.samples.shape == (2_000, channels)
    assert list(clip.samples[:, -1]) == list(range(500, 2_500))
    assert recent.finish() == []


def test_at_the_end_of_a_stream_a_clip_is_as_long_as_there_is_sound(tmp_path):
    recent = RecentSound(RATE, around_s=2)
    assert recent.add(ramp(0, 1_500)) == []
    recent.keep(tmp_path / "a.wav", 100, 1_400)
    (clip,) = recent.finish()
    assert list(clip.samples[:, 0]) == list(range(1_500))


def test_memory_is_bounded_and_of_a_long_event_the_end_is_kept(tmp_path):
    recent = RecentSound(RATE, around_s=0)
    length = round(3 * LONGEST_S * RATE)
    for at in range(0, length, 500):
        recent.add(ramp(at % 30_000, at % 30_000 + 500))
        assert sum(map(len, recent._chunks)) <= LONGEST_S * RATE + 500
    recent.keep(tmp_path / "a.wav", 0, length)
    (clip,) = recent.finish()
    assert LONGEST_S * RATE <= len(clip.samples) <= LONGEST_S * RATE + 500


def test_full_scale_does_not_wrap(tmp_path):
    recent = RecentSound(RATE, around_s=0)
    recent.keep(tmp_path / "a.wav", 0, 4)
    (clip,) = recent.add(np.array([1.0, -1.0, 2.0, -2.0], np.float32))
    assert list(clip.samples[:, 0]) == [32_767, -32_767, 32_767, -32_767]


def test_past_the_bound_the_oldest_files_go(tmp_path):
    samples = np.zeros((1_000, 1), np.int16)
    for number in range(5):
        path = tmp_path / "new" / f"{number}.wav"
        write_clip(Clip(path, RATE, samples), folder=tmp_path, max_bytes=3 * 2_044)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["2.wav", "3.wav", "4.wav", "new"]
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (RATE, 1_000, 1)
