"""Sound of the network by the real ffmpeg, from a real server."""

import asyncio
import shutil
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from common.errors import InputError
from service.sources import network
from service.sources.network import CHANNELS, NetworkSound, hidden, playlist
from tests.service.conftest import tone, wav

SECRET = "s3cret"


@pytest.fixture
async def url():
    """The address of a server of WAV, of garbage, and of what is not there, with a password."""

    async def sound(_):
        return web.Response(body=wav(tone(1.0)), content_type="audio/wav")

    async def garbage(_):
        return web.Response(body=b"<html>no sound</html>" * 100, content_type="audio/wav")

    async def playlist(_):
        text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
        return web.Response(text=text, content_type="application/vnd.apple.mpegurl")

    app = web.Application()
    app.add_routes(
        [
            web.get("/a.wav", sound),
            web.get("/garbage.wav", garbage),
            web.get("/list.m3u8", playlist),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://me:{SECRET}@127.0.0.1:{port}"
    await runner.cleanup()


def arguments_of_all():
    """The arguments of every process of this machine, as `ps` shows them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(found)


async def heard(url):
    """Samples until the source ends, and what it says then."""
    count, told = 0, ""
    try:
        async for samples, lost in NetworkSound(url).chunks():
            assert samples.shape[1] == CHANNELS
            assert not lost
            assert abs(samples).max() <= 1
            assert SECRET not in arguments_of_all()
            count += len(samples)
    except InputError as error:
        told = str(error)
    assert told
    assert SECRET not in told
    return count, told


async def test_all_of_a_stream_is_heard_and_its_end_is_told(url):
    count, told = await heard(f"{url}/a.wav?token={SECRET}")
    assert count == pytest.approx(network.RATE, abs=network.RATE // 100)
    assert "ended" in told


@pytest.mark.parametrize("path", ["/garbage.wav", "/none.wav", "/list.m3u8"])
async def test_what_is_no_sound_is_told_without_the_password(path, url):
    count, told = await heard(url + path)
    assert count == 0
    assert "127.0.0.1" in told


async def test_a_line_of_any_length_is_read_and_none_ends_the_reading():
    reader, said = asyncio.StreamReader(), deque(maxlen=3)
    reader.feed_data(b"first\n" + b"x" * 2**20 + b"\n" + b"y" * 300 + b"\nlast")
    reader.feed_eof()
    await NetworkSound("http://127.0.0.1/a")._keep_errors(reader, said)
    assert (said[-1], said[-2]) == ("last", "y" * 200)


async def test_a_server_that_is_away_is_told():
    assert (await heard(f"http://me:{SECRET}@127.0.0.1:9/a"))[0] == 0


def test_without_ffmpeg_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="apt install ffmpeg"):
        NetworkSound("http://a/b")


@pytest.mark.parametrize("url", ["http://", "http:///a b", "file:///etc/passwd", "http:/a"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InputError, match="no address"):
        NetworkSound(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"rtsp://me:{SECRET}@cam:554/live?key={SECRET}#x", "rtsp://cam:554/live"),
        ("http://cam/a", "http://cam/a"),
        (f"http://me:{SECRET}@[::1", "the address"),
        (f"http://me:{SECRET}@cam:port/", "the address"),
        (f"rtsp://cam/live/user=me_password={SECRET}_channel=1/a", "rtsp://cam/live"),
    ],
)
def test_what_is_shown_of_an_address_is_no_secret(url, shown):
    assert hidden(url) == shown


def test_of_an_address_that_is_a_secret_the_host_is_shown():
    assert hidden(f"https://home:8123/api/webhook/{SECRET}", path=False) == "https://home:8123"


@pytest.mark.parametrize("name", ["it's.wav", "a\\b.wav", "#a.wav", "option.wav;x"])
def test_no_letter_of_an_address_ends_its_line_of_the_playlist(name):
    lines = playlist(f"http://127.0.0.1/{name}").splitlines()
    assert [line.split()[0] for line in lines] == ["file", "option", "option"]
    assert lines[0].replace("'\\''", "'") == f"file 'http://127.0.0.1/{name}'"
