"""Files played at real speed."""

import asyncio

import numpy as np
import pytest
import soundfile

from common.errors import InputError
from service.cli.file_source import Playback
from tests.service.conftest import noise, wav


async def played(path):
    loop = asyncio.get_running_loop()
    begin = loop.time()
    chunks = [
        (samples, lost, loop.time() - begin) async for samples, lost in Playback(path).chunks()
    ]
    return np.concatenate([samples for samples, _, _ in chunks]), chunks


async def test_every_sample_comes_once_and_in_its_time(tmp_path):
    path = tmp_path / "noise.wav"
    path.write_bytes(wav(noise(1.02)))
    samples, chunks = await played(path)
    assert np.array_equal(samples, soundfile.read(path, dtype="float32")[0])
    assert len(chunks) == 21
    assert not any(lost for _, lost, _ in chunks)
    for index, (_, _, at) in enumerate(chunks):
        assert index / 20 - 0.005 <= at < index / 20 + 0.25


async def test_a_late_chunk_does_not_delay_the_ones_after_it(tmp_path):
    path = tmp_path / "noise.wav"
    path.write_bytes(wav(noise(0.6)))
    loop = asyncio.get_running_loop()
    begin, index = loop.time(), 0
    async for _ in Playback(path).chunks():
        if index == 2:
            await asyncio.sleep(0.2)
        index += 1
    assert loop.time() - begin < 0.75


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
def test_what_is_no_sound_file_is_refused_with_the_reason(tmp_path, name, reason):
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(InputError, match=reason):
        Playback(tmp_path / name)
