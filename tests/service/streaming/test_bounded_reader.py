"""Unfinished WebSocket messages of all streams have one bound, which short messages never meet."""

import asyncio
import json
import random
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp._websocket.reader import WebSocketReader

from common.budget import Budget
from service.api.context import BODY_BUDGET
from service.settings import Settings
from service.streaming.bounded_reader import PIECE, UNCOUNTED, BoundedReader
from service.streaming.connection import Inbox
from tests.service.conftest import begin, noise, pcm, rest_of, tone, until, wav

UPGRADE = (
    b"GET /v1/models/toy/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9


def frame(opcode, payload, *, last=True, compressed=False, length=None):
    """A frame masked with zeros; length: what its head says instead of the truth."""
    size = len(payload) if length is None else length
    short = size if size < 126 else 126 if size < 65_536 else 127
    extended = size.to_bytes({126: 2, 127: 8}[short], "big") if short > 125 else b""
    first = 128 * last | 64 * compressed | opcode
    return bytes([first, 128 | short]) + extended + bytes(4) + payload


class Client:
    """Frames as they stand, on a socket."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def close_code(self):
        """The code with which the server closes; the text before it."""
        text = ""
        while True:
            opcode, size = await asyncio.wait_for(self.reader.readexactly(2), 60)
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            payload = await self.reader.readexactly(size)
            if opcode == 0x80 | CLOSE:
                return int.from_bytes(payload[:2], "big"), text
            if opcode == 0x80 | TEXT:
                text = json.loads(payload)


@asynccontextmanager
async def client(server, *, early=b""):
    """A client after the upgrade. early: sent with the request for it."""
    port = int(server.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(UPGRADE + early)
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


PARTS = {
    "fragments": lambda size: frame(BINARY, bytes(size), last=False),
    "half a frame": lambda size: frame(BINARY, bytes(size), length=size + 1_000),
    "text": lambda size: frame(TEXT, b" " * size, last=False),
    "many fragments and pings": lambda size: (
        frame(BINARY, b"", last=False)
        + (frame(CONTINUATION, bytes(1_000), last=False) + frame(PING, b"x")) * (size // 1_000)
    ),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("early", [False, True])
async def test_unfinished_messages_past_the_common_bound_close_with_busy(serve, part, early):
    server = await serve(max_buffered=1_000_000)
    budget = server.app[BODY_BUDGET]
    sent = PARTS[part](600_000)
    at_once, then = (sent, b"") if early else (b"", sent)
    async with client(server, early=at_once) as first:
        first.writer.write(then)
        await until(lambda: budget.used >= 600_000 - UNCOUNTED)
        async with client(server, early=at_once) as second:
            second.writer.write(then)
            code, error = await second.close_code()
            assert (code, error["code"]) == (1013, "busy")
            assert "1000000 bytes" in error["detail"]
            assert 0 < budget.used <= 1_000_000
    await until(lambda: budget.used == 0)


async def test_bodies_and_messages_share_the_bound(serve):
    server = await serve(max_buffered=1_000_000)
    body = wav(tone(10))
    async with client(server) as sender:
        sender.writer.write(PARTS["fragments"](900_000))
        await until(lambda: server.app[BODY_BUDGET].used > 800_000)
        assert (await server.post("/v1/models/toy/classify", data=body))[0] == 503
    await until(lambda: server.app[BODY_BUDGET].used == 0)
    assert (await server.post("/v1/models/toy/classify", data=body))[0] == 200


async def test_short_messages_are_read_while_the_budget_is_full(serve):
    server = await serve(max_buffered=10)
    with server.app[BODY_BUDGET].hold(10):
        async with server.stream() as socket:
            await begin(socket)
            for _ in range(10):
                await socket.send_bytes(pcm(noise(1)))
            await socket.send_json({"type": "end"})
            *messages, code = await rest_of(socket)
    assert (messages[-1]["samples_received"], code) == (220_500, 1000)


async def test_complete_messages_are_not_counted(serve):
    server = await serve(max_buffered=300_000)
    async with server.stream() as socket:
        await begin(socket, hop=2.0)
        for _ in range(8):
            await socket.send_bytes(pcm(noise(5)))
        await socket.send_json({"type": "end"})
        *messages, code = await rest_of(socket)
        assert (messages[-1]["samples_received"], code) == (882_000, 1000)
    await until(lambda: server.app[BODY_BUDGET].used == 0)


async def test_compressed_messages_are_refused_unread(serve):
    server = await serve()
    async with client(server) as sender:
        sender.writer.write(frame(BINARY, bytes(1_000), compressed=True, last=False))
        assert (await sender.close_code())[0] == 1002


class Stub:
    """The connection of an inbox."""

    _reading_paused = False

    def pause_reading(self):
        pass


@pytest.mark.parametrize("seed", range(20))
async def test_the_count_is_that_of_the_message_under_way_however_the_bytes_are_cut(seed):
    rng = random.Random(seed)
    text, frames, expected = b"", 30, 0
    under_way = False
    for _ in range(rng.randrange(1, frames)):
        is_ping, last = rng.random() < 0.3, rng.random() < 0.4
        size = rng.choice([0, 1, 125]) if is_ping else rng.choice([0, 1, 125, 126, 70_000])
        opcode = PING if is_ping else CONTINUATION if under_way else BINARY
        text += frame(opcode, bytes(size), last=last or is_ping)
        if not is_ping:
            under_way, expected = not last, 0 if last else expected + size
    size = rng.randrange(0, 100)
    text += frame(CONTINUATION if under_way else BINARY, bytes(size), last=False, length=200)
    inbox, budget = Inbox(Stub(), Settings()), Budget(10**9, "bytes")
    parser = WebSocketReader(inbox, 0, compress=False, decode_text=True)
    with budget.hold(0) as memory:
        reader, at, reads = BoundedReader(parser, inbox, memory), 0, 0
        while at < len(text):
            step = rng.choice([1, 2, 7, 1_000, 100_000])
            reader.feed_data(text[at : at + step])
            at, reads = at + step, reads + 1
            assert budget.used == max(0, reader.unfinished - UNCOUNTED)
    most = expected + size + frames * (14 + 125) + PIECE * reads
    assert expected + size <= reader.unfinished <= most
