"""Files played at real speed, and pipes."""

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.errors import InputError
from service.sources.file_source import Pipe, Playback
from tests.features.containers.test_flac import verbatim, wave
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


def encoded(kind, subtype=None, channels=1, rate=48_000):
    file = io.BytesIO()
    samples = np.tile(noise(1)[:22_050, None], (1, channels))
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("rate", [48_000, 384_000])
def test_what_is_missing_in_a_file_is_among_its_warnings(tmp_path, rate):
    path, data = tmp_path / "half.wav", encoded("WAV", rate=rate)
    path.write_bytes(data)
    assert "truncated" not in [each.kind for each in Playback(path).warnings]
    path.write_bytes(data[: len(data) // 2])
    assert "truncated" in [each.kind for each in Playback(path).warnings]


async def test_flac_of_32_bits_is_played_with_its_own_sign(tmp_path):
    path, values = tmp_path / "wide.flac", wave(32)
    path.write_bytes(verbatim(32, values, code=7))
    samples, _ = await played(path)
    np.testing.assert_allclose(samples, np.array(values) / 2**31, atol=1e-7)


async def from_pipe(data):
    pipe = Pipe(Path("-"), io.BytesIO(data))
    chunks = [samples async for samples, _ in pipe.chunks()]
    return pipe, np.concatenate(chunks)


@pytest.mark.parametrize(
    ("subtype", "channels"), [("PCM_16", 1), ("PCM_16", 2), ("PCM_32", 1), ("FLOAT", 2)]
)
async def test_wav_of_a_pipe_comes_as_it_is_whatever_its_sizes_say(subtype, channels):
    data = encoded("WAV", subtype, channels)
    expected = soundfile.read(io.BytesIO(data), dtype="float32")[0]
    at = data.index(b"data") + 4
    piped = data[:4] + b"\xff" * 4 + data[8:at] + b"\xff" * 4 + data[at + 4 :]
    pipe, samples = await from_pipe(piped)
    assert (pipe.name, pipe.sample_rate, pipe.channels) == ("stdin", 48_000, channels)
    # Chunks after the sound of a file that states no size cannot be told from it.
    np.testing.assert_allclose(samples[: len(expected)], expected, atol=1e-6)
    assert len(samples) - len(expected) < 50


@pytest.mark.parametrize(
    ("kind", "subtype"), [("FLAC", None), ("OGG", "VORBIS"), ("WAV", "PCM_24")]
)
async def test_other_files_of_a_pipe_are_played_once_they_are_whole(kind, subtype, monkeypatch):
    async def at_once(_seconds):
        pass

    monkeypatch.setattr(asyncio, "sleep", at_once)
    _, samples = await from_pipe(encoded(kind, subtype))
    assert len(samples) == 22_050


def test_a_pipe_without_sound_is_an_error_of_one_line():
    with pytest.raises(InputError, match="not a sound file"):
        Pipe(Path("-"), io.BytesIO(b"hello, world" * 9))
    with pytest.raises(InputError, match="empty"):
        Pipe(Path("-"), io.BytesIO(b""))


def test_a_file_of_two_streams_is_played_to_its_end(tmp_path):
    path = tmp_path / "two.ogg"
    path.write_bytes(2 * encoded("OGG", "VORBIS"))
    source = Playback(path)
    total = sum(len(block) for block in source.blocks(2_400))
    assert total / source.sample_rate == pytest.approx(2 * 22_050 / 48_000, abs=0.01)
