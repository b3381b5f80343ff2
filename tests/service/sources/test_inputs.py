"""What a text names as a source."""

import pytest

from common.errors import InputError
from service.sources.file_source import Playback
from service.sources.inputs import Looped, open_input
from service.sources.network import NetworkSound
from tests.service.conftest import RATE, tone, wav


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "a b.wav"
    path.write_bytes(wav(tone(0.1)))
    return path


@pytest.mark.parametrize("form", ["{}", "file:{}"])
def test_a_path_is_a_file(form, sound):
    source = open_input(form.format(sound))
    assert isinstance(source, Playback)
    assert (source.name, source.sample_rate) == ("a b.wav", RATE)


@pytest.mark.parametrize("url", ["http://a/b", "HTTPS://a", "rtsp://a:554/b", "rtsps://a"])
def test_an_address_is_sound_of_the_network(url):
    assert isinstance(open_input(url), NetworkSound)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("none.wav", "cannot read none.wav"),
        ("file:none.wav", "cannot read none.wav"),
        ("file:-", "stdin"),
        ("device:no such device", "microphone"),
        ("ftp://a/b", "cannot read"),
    ],
)
def test_what_cannot_be_opened_is_told(text, told):
    with pytest.raises(InputError, match=told):
        open_input(text)


async def test_a_looped_file_begins_anew(sound):
    count = 0
    async for samples, _ in Looped(f"file:{sound}").chunks():
        count += len(samples)
        if count > 3 * 0.1 * RATE:
            break


async def test_a_looped_file_that_changes_its_format_ends(sound):
    looped = Looped(str(sound))
    sound.write_bytes(wav(tone(0.1, rate=16_000), rate=16_000))
    with pytest.raises(InputError, match="has another rate"):
        async for _ in looped.chunks():
            pass
