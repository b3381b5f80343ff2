"""Bytes that are no request get a problem document, as all other errors do."""

import asyncio
import json

import pytest

from service.api.context import GATEWAY
from service.app import build
from service.server.connections import listen, runner
from service.server.sockets import bind
from service.settings import Settings
from tests.service.helpers.problems import is_problem

HOST = b"Host: 127.0.0.1\r\n"
CLASSIFY = b"POST /v1/models/toy/classify HTTP/1.1\r\n" + HOST
CHUNKED = CLASSIFY + b"Transfer-Encoding: chunked\r\n"
EXPECT = b"Expect: a-miracle\r\nContent-Length: 0\r\n\r\n"
REJECTED = {
    "no path": (400, b"GET\r\n\r\n"),
    "no method": (400, b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no version": (400, b"GET / HTTP/9.9\r\n" + HOST + b"\r\n"),
    "long target": (400, b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "long header": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 9_000 + b"\r\n\r\n"),
    "many headers": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 300 + b"\r\n"),
    "header with a blank": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X Y: 1\r\n\r\n"),
    "header with NUL": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: \0\r\n\r\n"),
    "no host": (400, b"GET /livez HTTP/1.1\r\n\r\n"),
    "no URL": (400, b"GET http://[x/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "negative length": (400, CLASSIFY + b"Content-Length: -1\r\n\r\n"),
    "length and chunks": (400, CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n"),
    "first chunk": (400, CHUNKED + b"\r\nzz\r\n\r\n"),
    "second chunk": (400, CHUNKED + b"\r\n3\r\nabc\r\nzz\r\n\r\n"),
    "expectation": (417, CLASSIFY + EXPECT),
    "expectation of no route": (417, b"POST /none HTTP/1.1\r\n" + HOST + EXPECT),
    "method": (405, b"DELETE /livez HTTP/1.1\r\n" + HOST + b"\r\n"),
    "path": (404, b"GET /none HTTP/1.1\r\n" + HOST + b"\r\n"),
    "length beyond the limit": (413, CLASSIFY + b"Content-Length: 99999999999\r\n\r\n"),
    "no handshake": (400, b"GET /v1/models/toy/stream HTTP/1.1\r\n" + HOST + b"\r\n"),
}


@pytest.fixture
async def port(artefacts):
    """A server as `timbre serve` makes it."""
    settings = Settings(port=0, artefacts=artefacts, models=("toy",), grace=1.0)
    app = build(settings)
    running = runner(app, settings, shutdown_s=0.5)
    await running.setup()
    listener = bind(settings)
    listening = await listen(running, listener, settings)
    await app[GATEWAY].opening
    yield listener.getsockname()[1]
    listening.close()
    await running.cleanup()


async def response(port, data):
    """Status, body and headers of the first response to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(60):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["Content-Length"]))
    writer.transport.abort()
    return int(first.split()[1]), body.decode(), headers


@pytest.mark.parametrize("what", REJECTED)
async def test_what_is_no_request_that_is_answered_gets_a_problem_document(port, what):
    expected, data = REJECTED[what]
    status, body, headers = await response(port, data)
    assert status == expected
    assert is_problem(status, json.loads(body), headers)
    assert headers["X-Request-Id"]
    assert headers["Server"] == "timbre"


async def test_the_line_that_cannot_be_read_is_not_repeated(port, capsys):
    data = b"GET / HTTP/1.1\r\n" + HOST + b"Author ization: secret\r\n\r\n"
    status, body, headers = await response(port, data)
    assert (status, "secret" in body) == (400, False)
    log = capsys.readouterr().err
    assert "secret" not in log
    assert f" {headers['X-Request-Id']} HTTP error" in log


async def test_a_good_request_is_answered_as_before(port):
    status, body, _ = await response(port, b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (status, json.loads(body)) == (200, {"status": "alive"})
