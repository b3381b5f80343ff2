"""Sound of cameras by the real ffmpeg, from the RTSP server of GStreamer."""

import asyncio
import socket
import subprocess
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from common.errors import InputError
from service.archive.records import EventRecord, ProblemRecord
from service.client import Client
from service.monitor import follower
from service.monitor.config import SourceSettings
from service.monitor.follower import Follower
from service.sources.network import RATE, NetworkSound
from tests.service.conftest import until
from tests.service.sources.test_network import arguments_of_all
from tests.test_house import ROOT

PYTHON = "/usr/bin/python3"
"""The system's: GStreamer's bindings are packages of the system."""
CAMERA = ROOT / "tests" / "service" / "helpers" / "rtsp_camera.py"
BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0')"
SECRET = "it's3cret@home/%"
QUOTED = quote(SECRET, safe="'")
LOGIN = f"me:{QUOTED}@"


def missing():
    """Why there is no camera; empty: there is one."""
    if (
        not Path(PYTHON).exists()
        or subprocess.run([PYTHON, "-c", BINDINGS], capture_output=True, check=False).returncode
    ):
        return "GStreamer's RTSP server is not installed: tools/system-packages cameras"
    return ""


pytestmark = [
    pytest.mark.slow,  # needs GStreamer, and each stream takes seconds to begin
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Half a minute of H.264 and AAC."""
    path = tmp_path_factory.mktemp("camera") / "movie.mp4"
    sources = ["testsrc=size=160x120:rate=10", "sine=frequency=440:sample_rate=44100"]
    inputs = [part for source in sources for part in ("-f", "lavfi", "-i", source)]
    codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "30"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *inputs, *codecs, path], check=True)
    return path


@asynccontextmanager
async def camera(movie, method="digest", port=0):
    """Serve; yield the port."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        PYTHON, CAMERA, str(port), "me", SECRET, method, movie, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert await process.stdout.readline() == b"serving\n"
        yield port
    finally:
        process.kill()
        await process.wait()


async def second_of(url):
    """The first second of sound, mono; and what programs have as arguments meanwhile."""
    blocks = []
    async with aclosing(NetworkSound(url).chunks()) as chunks:
        async for samples, _ in chunks:
            blocks.append(samples)
            if sum(map(len, blocks)) >= RATE:
                break
        return np.concatenate(blocks)[:RATE].mean(axis=1), arguments_of_all()


@pytest.mark.parametrize("path", ["g711", "aac"])
@pytest.mark.parametrize("method", ["basic", "digest"])
async def test_the_sound_of_a_camera_is_heard_and_its_password_is_in_no_list_of_processes(
    path, method, movie
):
    async with camera(movie, method) as port:
        sound, arguments = await second_of(f"rtsp://{LOGIN}127.0.0.1:{port}/{path}")
    assert np.argmax(np.abs(np.fft.rfft(sound))) == pytest.approx(440, abs=2)
    assert "pipe:0" in arguments
    # The camera of this test has it in its own.
    assert LOGIN not in arguments


@pytest.mark.parametrize("login", ["", "me:wrong@"])
async def test_a_wrong_login_is_told_without_it(login, movie):
    async with camera(movie) as port:
        with pytest.raises(InputError, match="401 Unauthorized") as error:
            await second_of(f"rtsp://{login}127.0.0.1:{port}/g711")
    assert f"rtsp://127.0.0.1:{port}/g711 ended" in str(error.value)
    assert "wrong" not in str(error.value)


async def test_what_a_camera_does_not_have_is_told(movie):
    async with camera(movie) as port:
        with pytest.raises(InputError, match="404 Not Found"):
            await second_of(f"rtsp://{LOGIN}127.0.0.1:{port}/none")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n<html>", b"\0\xff" * 5_000, b""])
async def test_garbage_is_told(answer):
    async def talk(reader, writer):
        await reader.read(10)
        writer.write(answer)
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(InputError, match=rf"rtsp://127.0.0.1:{port}/a ended: "):
            await second_of(f"rtsp://{LOGIN}127.0.0.1:{port}/a")


async def test_a_camera_that_goes_away_and_comes_back_is_told_once_and_heard_again(
    serve, movie, monkeypatch, capsys
):
    monkeypatch.setattr(follower, "FIRST_WAIT_S", 0.2)
    monkeypatch.setattr(follower, "LONGEST_WAIT_S", 0.2)
    server, told = await serve(), []

    def events():
        return [each for each in told if isinstance(each, EventRecord)]

    async with camera(movie) as port:
        url = f"rtsp://{LOGIN}127.0.0.1:{port}/g711"
        settings = SourceSettings(name="yard", input=url, model="toy")
        task = asyncio.create_task(Follower(settings, Client(server.url), told.append).run())
        await until(events)
    await until(lambda: any(isinstance(each, ProblemRecord) for each in told))
    async with camera(movie, port=port):
        await until(lambda: len({each.id for each in events()}) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    (problem,) = [each for each in told if isinstance(each, ProblemRecord)]
    assert problem.problem == "not connected"
    log = capsys.readouterr().err
    assert log.count("source fails") == log.count("source connected") == 1
    assert "s3cret" not in log + str(told)
