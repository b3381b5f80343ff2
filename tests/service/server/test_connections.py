"""Slow, silent, too large and too many connections do not affect the others."""

import asyncio
import gzip
import socket
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
import pytest

from service.api.context import GATEWAY
from service.app import build
from service.server.connections import listen, runner
from service.server.sockets import bind
from service.settings import Settings
from tests.service.conftest import PATIENT, begin, tone, until, wav

CLASSIFY = "/v1/models/toy/classify"
PART = b"\xfe" + struct.pack(">H", 2**14) + bytes(4 + 2**14)
"""A masked fragment, after its first byte."""


@dataclass
class Opened:
    """A server on a listening socket, as `timbre serve` opens it."""

    port: int
    running: object
    http: aiohttp.ClientSession

    async def connect(self, data=b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer

    async def status(self, path="/livez", **options):
        async with self.http.request(
            "POST" if options else "GET", self.url + path, **options
        ) as response:
            await response.read()
            return response.status

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self):
        return len(self.running.server.connections)


@asynccontextmanager
async def opened(artefacts, **settings):
    settings = Settings(port=0, artefacts=artefacts, grace=1.0, **PATIENT | settings)
    app = build(settings)
    running = runner(app, settings, shutdown_s=0.5)
    await running.setup()
    listener = bind(settings)
    listening = await listen(running, listener, settings)
    await app[GATEWAY].opening
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            yield Opened(listener.getsockname()[1], running, http)
    finally:
        listening.close()
        await running.cleanup()


def head(*lines, method="POST", path=CLASSIFY):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


async def closed(reader):
    """Return when the server closes the connection."""
    with suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 60)


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /livez HTTP/1.1\r\nHost", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n"],
)
async def test_a_connection_whose_header_stays_incomplete_is_closed(artefacts, said):
    async with opened(artefacts, head_timeout=0.3) as server:
        reader, writer = await server.connect(said)
        await closed(reader)
        writer.transport.abort()


async def test_a_header_that_arrives_byte_by_byte_gains_no_time(artefacts):
    async with opened(artefacts, head_timeout=0.5) as server:
        reader, writer = await server.connect(b"GET /livez HTTP/1.1\r\n")

        async def drip():
            while True:
                writer.write(b"X-Drop: 1\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        await closed(reader)
        dripping.cancel()
        writer.transport.abort()


async def test_the_header_of_a_later_request_is_bounded_too(artefacts):
    async with opened(artefacts, head_timeout=0.5) as server:
        reader, writer = await server.connect(head(method="GET", path="/livez"))
        assert b" 200 " in await reader.readline()
        writer.write(b"GET /livez HT")
        await closed(reader)
        writer.transport.abort()


async def test_a_stream_outlives_the_header_timeout(artefacts):
    async with (
        opened(artefacts, head_timeout=0.2) as server,
        server.http.ws_connect(f"{server.url}/v1/models/toy/stream") as socket,
    ):
        await begin(socket)
        await asyncio.sleep(0.6)
        await socket.send_json({"type": "end"})
        assert (await socket.receive_json(timeout=60))["type"] == "end"


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Long: " + "x" * 9_000],
        [f"X-{n}: x" for n in range(200)],
        ["X" * 9_000 + ": x"],
    ],
    ids=["long value", "many headers", "long name"],
)
async def test_too_many_headers_are_rejected(artefacts, lines, capfd):
    async with opened(artefacts) as server:
        reader, writer = await server.connect(head(*lines, method="GET", path="/livez"))
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 60)
        writer.transport.abort()
    assert len(capfd.readouterr().err) < 1_000


async def test_endless_headers_are_rejected_early(artefacts):
    async with opened(artefacts) as server:
        reader, writer = await server.connect(head(method="GET", path="/livez")[:-2])
        sent = 0
        with suppress(ConnectionError):
            while not reader.at_eof() and sent < 2**24:
                writer.write(b"X-A: " + b"x" * 1_000 + b"\r\n")
                sent += 1_007
                await writer.drain()
                await asyncio.sleep(0)
        assert sent < 2**22
        writer.transport.abort()


async def test_an_invalid_header_logs_one_line_without_its_bytes(artefacts, capfd):
    async with opened(artefacts) as server:
        secret = "timbre_0123456789ab_" + "s" * 43
        reader, writer = await server.connect(
            head(f"Authorization: Bearer {secret}\x01", method="GET")
        )
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 60)
        writer.transport.abort()
    log = capfd.readouterr().err
    assert "HTTP error" in log
    assert "sssss" not in log
    assert "Traceback" not in log


async def test_a_key_offered_without_timbre_is_not_logged(artefacts, caplog, capfd):
    async with opened(artefacts) as server:
        secret = "timbre_0123456789ab_" + "s" * 43
        async with server.http.ws_connect(
            f"{server.url}/v1/models/toy/stream", protocols=(f"timbre.key.{secret}",)
        ):
            pass
    assert "sssss" not in caplog.text + capfd.readouterr().err


async def test_compressed_bodies_are_rejected_unread(artefacts):
    bomb = gzip.compress(bytes(2**24))
    async with opened(artefacts, max_body=2**18) as server:
        for name in ("gzip", "deflate", "br", "zstd", "x-anything", "gzip, gzip"):
            assert (
                await server.status(CLASSIFY, data=bomb, headers={"Content-Encoding": name}) == 415
            ), name
        assert (
            await server.status(
                CLASSIFY, data=wav(tone(2)), headers={"Content-Encoding": "identity"}
            )
            == 200
        )


async def test_a_slow_upload_uses_one_slot_for_a_limited_time(artefacts):
    async with opened(artefacts, body_timeout=0.3) as server:
        reader, writer = await server.connect(head("Content-Length: 1000") + b"x")
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 60)
        writer.transport.abort()
        # A body that is not read, on a route without one, keeps no handler busy.
        reader, writer = await server.connect(
            head("Content-Length: 1000", method="GET", path="/livez")
        )
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 60)
        writer.transport.abort()


async def test_a_client_that_reads_no_responses_is_disconnected(artefacts, monkeypatch):
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this kernel has no time limit for unacknowledged data")
    monkeypatch.setattr("service.server.connections.STALLED_S", 0.5)
    async with opened(artefacts) as server:
        _, writer = await server.connect()
        # Nothing is read: more than both kernels keep.
        writer.transport.pause_reading()
        with suppress(ConnectionError):
            async with asyncio.timeout(60):
                while True:
                    writer.write(100 * head(method="GET", path="/v1/models"))
                    await writer.drain()
                    await asyncio.sleep(0.001)
        await until(lambda: server.connections == 0)
        assert await server.status() == 200


async def raw_stream(server):
    """A WebSocket by hand."""
    lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += [
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
        "Sec-WebSocket-Extensions: permessage-deflate",
    ]
    reader, writer = await server.connect(head(*lines, method="GET", path="/v1/models/toy/stream"))
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert b" 101 " in answer
    assert b"deflate" not in answer
    return reader, writer


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"\x82\xff" + struct.pack(">Q", 2**40) + bytes(4)], 1009),
        ([b"\x02" + PART, *4 * [b"\x00" + PART]], 1009),
        ([b"\xc2\x84" + bytes(8)], 1002),
        ([b"\x89\xfe" + struct.pack(">H", 200) + bytes(204)], 1002),
    ],
    ids=["announced", "fragments", "compressed though refused", "a long ping"],
)
async def test_giant_and_compressed_frames_close_the_stream(artefacts, frames, code):
    async with opened(artefacts, max_message=2**14) as server:
        reader, writer = await raw_stream(server)
        for frame in frames:
            writer.write(frame)
            # What is still unread when a socket is closed takes the close message with it.
            await asyncio.sleep(0.05)
        told = await asyncio.wait_for(reader.read(), 60)
        assert struct.pack(">H", code) in told
        writer.transport.abort()
        await until(lambda: not server.running.app[GATEWAY].streams)


async def test_idle_connections_are_closed_for_requests(artefacts, capfd, monkeypatch):
    monkeypatch.setattr("service.server.connections.LOG_S", 600)
    async with opened(artefacts, max_connections=20) as server:
        idle = [await server.connect() for _ in range(60)]
        assert server.connections <= 21
        # One line in a while, however many there are.
        assert capfd.readouterr().err.count("too many connections") == 1
        assert await server.status() == 200
        assert await server.status(CLASSIFY, data=wav(tone(2))) == 200
        for _, writer in idle:
            writer.transport.abort()


async def test_streams_are_not_closed_for_new_connections_which_get_503(artefacts, capsys):
    async with opened(artefacts, max_connections=3) as server:
        url = f"{server.url}/v1/models/toy/stream"
        streams = [await server.http.ws_connect(url) for _ in range(3)]
        for stream in streams:
            assert (await begin(stream))["type"] == "ready"
        async with server.http.get(server.url + "/livez") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json(content_type="application/problem+json"))["title"] == "Busy"
        await streams.pop().close()
        await until(lambda: server.connections < 3)
        assert await server.status() == 200
        for stream in streams:
            await stream.send_json({"type": "end"})
            assert (await stream.receive_json(timeout=60))["type"] == "end"
            await stream.close()
    assert "too many connections" in capsys.readouterr().err


async def test_among_a_thousand_idle_connections_requests_are_answered(artefacts):
    async with opened(artefacts, max_connections=500) as server:
        idle = [await server.connect(b"GET / HT") for _ in range(1_000)]
        for _ in range(5):
            assert await server.status() == 200
        assert server.connections <= 501
        for _, writer in idle:
            writer.transport.abort()
