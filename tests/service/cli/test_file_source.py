"""Files played at real speed."""

import asyncio

import numpy as np
import pytest
import soundfile

from common.errors import InputError
from service.cli.file_source import Playback
from tests.service.conftest import noise, wav
from tests.service.helpers.virtual_loop import on_virtual_loop


async def played(path):
    loop = asyncio.get_running_loop()
    begin = loop.time()
    chunks = [
        (samples, lost, loop.time() - begin) async for samples, lost in Playback(path).chunks()
    ]
    return np.concatenate([samples for samples, _, _ in chunks]), chunks


def written(tmp_path, seconds):
    path = tmp_path / "noise.wav"
    path.write_bytes(wav(noise(seconds)))
    return path


def test_every_sample_comes_once_and_in_its_time(tmp_path):
    @on_virtual_loop
    async def play(loop):
        return await played(path)

    path = written(tmp_path, 1.02)
    samples, chunks = play()
    assert np.array_equal(samples, soundfile.read(path, dtype="float32")[0])
    assert not any(lost for _, lost, _ in chunks)
    assert [at for _, _, at in chunks] == pytest.approx([n / 20 for n in range(21)], abs=1e-3)


def test_a_late_chunk_does_not_delay_the_ones_after_it(tmp_path):
    @on_virtual_loop
    async def play(loop):
        begin, times = loop.time(), []
        async for _ in Playback(path).chunks():
            times.append(loop.time() - begin)
            if len(times) == 3:
                loop.work(0.12)
        return times

    path = written(tmp_path, 0.4)
    assert play() == pytest.approx([0, 0.05, 0.1, 0.22, 0.22, 0.25, 0.3, 0.35, 0.4], abs=1e-3)


async def test_channels_and_rate_are_the_files_own(tmp_path):
    path = tmp_path / "stereo.flac"
    soundfile.write(path, np.zeros((4_800, 2)), 48_000)
    source = Playback(path)
    assert (source.name, source.sample_rate, source.channels) == ("stereo.flac", 48_000, 2)
    samples, _ = await played(path)
    assert samples.shape == (4_800, 2)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none.wav", "No such file"), ("text.wav", "not a sound file"), (".", "Is a")],
)
def test_an_invalid_sound_file_is_rejected_with_the_reason(tmp_path, name, reason):
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(InputError, match=reason):
        Playback(tmp_path / name)
