"""Nothing in the head of a request, however odd, is a fault of the server."""

import asyncio
import itertools
import json
import os
import random

import pytest

from service.auth.key_store import FileKeyStore
from service.auth.keys import create_key
from tests.service.conftest import tone, wav
from tests.service.helpers.problems import is_problem

ATTACKS = int(os.environ.get("ATTACKS", "300"))
"""Requests of each test at most, drawn by SEED; `make attack` sends all."""
SEED = int(os.environ.get("SEED", "1"))
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
WAV = wav(tone(0.1))
CLIP = [("Host", "localhost"), ("Content-Length", len(WAV))]
STREAM, CLASSIFY = "/v1/models/toy/stream", "/v1/models/toy/classify"
ODD = [
    "", " ", "\x80\xff", "\xc3\x28", "é", "[", "]", "[x", "[::1", "http://[x",
    "https://[::1%25]:99999",
    "http://a:b:c", "http://\xff", "//", "\\", "%", "%00", "%ff", "%zz", "{}", '"', "'", ";",
    ",", "=",
    ";=", '="', "a;b", 'a/b;c="', "multipart/", "multipart/form-data",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary="', "multipart/form-data; boundary=" + "x" * 100,
    "multipart/form-data; boundary=\xff", "multipart/mixed; boundary=\x80; charset=\xff",
    "text/plain; charset=nonsense", "application/json; charset=utf-7", "/", "/;", "a/", "*/*",
    "NaN", "inf", "-inf", "1e999", "-1", "0", "+1", "1_0", "0x10", "1.5", "9" * 400, "\u0661",
    "bytes=", "bytes=-", "bytes=0-99999999999999999999", "bytes=a-b", "bytes=5-1,,",
    "Bearer", "Bearer ", "Bearer \xff", "Bearer timbre_", "Bearer timbre_0123456789ab_\xff",
    "Bearer timbre_0123456789ab_" + "\u0661" * 43, "Basic =", "Basic \xff", 'Digest nonce="',
    "timbre.key.", "timbre.key.\xff", "timbre, timbre.key.timbre_0123456789ab_\xff", ",,,",
    "gzip", "identity;q=x", "Sun, 99 Foo 9999 99:99:99", 'W/"', "a=b; c", "0" * 5_000,
]  # fmt: skip
NAMES = [
    "Origin", "Content-Type", "Content-Encoding", "Range", "Authorization", "Accept", "Cookie",
    "Accept-Encoding", "If-Modified-Since", "If-None-Match", "If-Range", "Retry-After", "Expect",
    "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "X-Request-Id", "X-Forwarded-For",
    "Access-Control-Request-Method", "Access-Control-Request-Headers", "Referer", "Last-Event-ID",
    "Sec-Fetch-Site", "Forwarded", "Connection", "Upgrade", "User-Agent", "Priority", "Via",
    "Content-Disposition", "Accept-Language", "Trailer", "Content-MD5", "Date", "From", "Warning",
]  # fmt: skip
CRITICAL = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
]
QUERIES = [
    f"{name}={value}"
    for name in ("top_k", "hop", "version", "x", "", "key", "%ff", "top_k[]", "hop%00")
    for value in (
        "", "NaN", "nan", "inf", "-inf", "1e999", "-1e999", "1e-400", "0x1", "1_0", "-0",
        "9" * 5_000,
        "%00", "%ff", "%C3%28", "%zz", "%", "%ED%A0%80", "%F0%9F%8E%B9", "..%2F..%2Fetc",
        "\xff", "1;2", "1&",
        "1&hop=1&hop=2", "%D9%A1", "+", "[", "{", "'", "1%0d%0aX: y", "%1b[31m",
    )
]  # fmt: skip


class Wire:
    """Requests as they stand, each on a connection of its own."""

    def __init__(self, server):
        self.port = int(server.url.rsplit(":", 1)[1])

    async def send(self, method, target, headers, body=b""):
        """Return the status of one request, a problem document being checked."""
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        text = f"{method} {target} HTTP/1.1\r\n{head}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(text.encode("latin-1", "replace") + body)
            return await asyncio.wait_for(self._status(reader), 60)
        finally:
            writer.transport.abort()

    @staticmethod
    async def _status(reader):
        status = int((await reader.readline()).split()[1])
        headers = {}
        while b":" in (line := await reader.readline()):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.title()] = value.strip()
        if "problem" in headers.get("Content-Type", ""):
            answer = json.loads(await reader.readexactly(int(headers["Content-Length"])))
            assert is_problem(status, answer, headers)
        return status


@pytest.fixture(params=["open", "keys", "cors"])
async def guarded(request, serve, tmp_path):
    """A server, and the headers that it wants."""
    if request.param == "keys":
        store = FileKeyStore(tmp_path / "keys.json")
        key, text = create_key("x", scopes=("classify", "stream"), rate=1e6, streams=1_000)
        await store.put(key)
        return await serve(keys=str(tmp_path / "keys.json")), [("Authorization", f"Bearer {text}")]
    if request.param == "cors":
        return await serve(cors_origins=("https://a.example",), allowed_hosts=("a.example",)), []
    return await serve(), []


def routes(extra):
    host = ("Host", "localhost")
    body = b"no sound"
    post = [host, ("Content-Length", len(body)), *extra]
    return [
        ("GET", "/v1/models", [host, *extra], b""),
        ("OPTIONS", CLASSIFY, [host, *extra], b""),
        ("POST", CLASSIFY, post, body),
        ("POST", "/v1/models/toy/load", post, body),
        ("GET", STREAM, [host, *UPGRADE.items(), *extra], b""),
    ]


async def faults(server, requests):
    """Send (method, target, headers, body) each; return those answered with 5xx."""
    wire, found = Wire(server), []
    drawn = random.Random(SEED).sample(requests, min(ATTACKS, len(requests)))
    for method, target, headers, body in drawn:
        status = await wire.send(method, target, headers, body)
        if status >= 500:
            found.append((method, target, headers[-1], status))
    return found


async def test_no_header_is_a_fault(guarded, capsys):
    server, extra = guarded
    pairs = itertools.product(NAMES, ODD)
    # Each pair on one route: all would take minutes.
    requests = [
        (method, path, [*headers, pair], body)
        for (method, path, headers, body), pair in zip(
            itertools.cycle(routes(extra)), pairs, strict=False
        )
    ]
    assert await faults(server, requests) == []
    assert "Traceback" not in capsys.readouterr().err


async def test_no_header_of_the_protocol_itself_is_a_fault(guarded, capsys):
    server, extra = guarded
    requests = []
    for (method, path, headers, body), name, value in itertools.product(
        routes(extra)[2:], CRITICAL, ODD[::2]
    ):
        others = [(each, old) for each, old in headers if each != name]
        requests.append((method, path, [*others, (name, value)], body))
    assert await faults(server, requests) == []
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Origin", "http://[x", 403),
        ("Expect", "\xff", 417),
        ("Expect", "200-ok", 417),
        ("Sec-WebSocket-Key", "\xff", 400),
        ("Sec-WebSocket-Key", "x", 400),
        ("Sec-WebSocket-Version", "\xff", 400),
        ("sec-websocket-protocol", "\xff", 400),
        ("Upgrade", "\xff", 400),
        ("Connection", "\xff", 400),
    ],
)
async def test_an_odd_header_of_a_stream_is_rejected(serve, name, value, status):
    server = await serve()
    headers = [("Host", "localhost"), *({**UPGRADE, name: value}).items()]
    for path in (STREAM, "/v1/nothing") if name == "Expect" else (STREAM,):
        assert await Wire(server).send("GET", path, headers) == status


async def test_no_odd_origin_or_referer_passes_for_the_servers_own_page(serve):
    wire = Wire(await serve())
    host = [("Host", f"127.0.0.1:{wire.port}"), ("Content-Length", "0")]
    own = [("Sec-Fetch-Site", "same-origin"), ("Origin", f"http://127.0.0.1:{wire.port}")]
    assert await wire.send("POST", "/v1/models/toy/load", [*host, *own]) == 200
    for name, value in itertools.product(("Origin", "Referer"), ODD):
        found = await wire.send("POST", "/v1/models/toy/load", [*host, *own, (name, value)])
        assert 400 <= found < 500, (name, value)


async def test_no_path_and_no_query_is_a_fault(guarded, capsys):
    server, extra = guarded
    requests = []
    for query, (method, path, headers, body) in zip(
        QUERIES, itertools.cycle(routes(extra)), strict=False
    ):
        value = query.partition("=")[2][:200] or "x"
        targets = (f"{path}?{query}", path.replace("toy", value), f"/{value}", value)
        requests += [(method, each.replace(" ", "+"), headers, body) for each in targets]
    requests += [("POST", f"{CLASSIFY}?{query}", [*CLIP, *extra], WAV) for query in QUERIES]
    assert await faults(server, requests) == []
    assert "Traceback" not in capsys.readouterr().err
