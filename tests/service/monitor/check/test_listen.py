"""A source is listened to for so many seconds, a file as fast as it can be."""

import sys

import numpy as np
import pytest

from common.errors import InputError
from service.monitor.check.listen import listen
from tests.service.conftest import RATE, tone, wav


@pytest.mark.parametrize(("asked", "heard"), [(2, 2), (60, 3.5)])
async def test_a_file_is_heard_for_so_long_or_to_its_end(asked, heard, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(3.5)))
    name, found = await listen(f"file:{path}", seconds=asked)
    assert (name, found.seconds, found.sample_rate) == ("a.wav", heard, RATE)


async def test_stdin_is_heard_as_it_comes(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(3)))
    with path.open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": stream}))
        name, found = await listen("stdin", seconds=2)
    assert name == "stdin"
    # To the end of a chunk.
    assert 2 <= found.seconds < 2.1


async def test_a_source_without_sound_is_an_error(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.empty(0, np.float32)))
    with pytest.raises(InputError, match=r"a\.wav"):
        await listen(str(path), seconds=2)
