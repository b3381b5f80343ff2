"""The client of the load generator speaks WebSocket, with servers that answer in any pieces."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from benchmarks.serving import websocket


class Client(websocket.Client):
    """Keeps what happens."""

    def __init__(self, url):
        super().__init__(url)
        self.texts, self.ends, self.is_open = [], [], asyncio.Event()
        self.ended = asyncio.Event()

    def opened(self):
        self.is_open.set()

    def text(self, message):
        self.texts.append(message)

    def closed(self, why):
        self.ends.append(why)
        self.ended.set()


@pytest.fixture
async def echo():
    """The address of a server that sends back what it gets, and closes after `end`."""

    async def handle(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.data == "end":
                await socket.close(code=1008)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await socket.send_str(str(len(message.data)))
            else:
                await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.add_routes([web.get("/echo", handle)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
async def test_messages_of_every_length_go_there_and_back(echo, size):
    client = Client(f"{echo}/echo")
    await client.connect()
    await asyncio.wait_for(client.is_open.wait(), 60)
    client.transport.write(websocket.frame(websocket.TEXT, b"x" * size))
    client.transport.write(websocket.frame(websocket.BINARY, bytes(size)))
    client.transport.write(websocket.frame(websocket.TEXT, b"end"))
    await asyncio.wait_for(client.ended.wait(), 60)
    assert client.texts == [b"x" * size, str(size).encode()]
    assert client.ends == ["closed 1008"]


async def test_a_response_that_is_no_upgrade_is_the_end(echo):
    client = Client(f"{echo}/other")
    await client.connect()
    await asyncio.wait_for(client.ended.wait(), 60)
    assert client.ends == ["HTTP 404"]


def test_frames_in_any_pieces_are_the_same_messages():
    client = Client("http://localhost/")
    data = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    for size in (0, 125, 126, 70_000):
        unmasked = websocket.frame(websocket.TEXT, b"y" * size)
        head = unmasked[: len(unmasked) - size - 4]
        data += bytes([head[0], head[1] & 0x7F]) + head[2:] + b"y" * size
    for at in range(0, len(data), 37):
        client.data_received(data[at : at + 37])
    assert [len(text) for text in client.texts] == [0, 125, 126, 70_000]
    client.connection_lost(None)
    client.connection_lost(None)
    assert client.ends == ["connection lost"]
