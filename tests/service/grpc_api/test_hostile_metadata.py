"""Metadata that no gRPC client sends, as bytes of HTTP/2: newlines, sizes, names of every kind."""

import asyncio
import struct
from contextlib import suppress

import grpc
import pytest

from service.grpc_api.calls import MAX_METADATA, PAIR
from service.grpc_api.schema import SERVICE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
USUAL = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": f"/{SERVICE}/ServerReady".encode(),
    b":authority": b"127.0.0.1",
    b"te": b"trailers",
    b"content-type": b"application/grpc",
}
INJECTED = b"\r\nevil: 1\r\n12:00:00.000 - forged line=1\n"


def frame(kind, flags, payload, *, stream=1):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(data):
    """A string of HPACK as it is."""
    return (bytes([len(data)]) if len(data) < 127 else b"\x7f" + varint(len(data) - 127)) + data


def varint(number):
    out = b""
    while number >= 128:
        out, number = out + bytes([number % 128 + 128]), number // 128
    return out + bytes([number])


def headers(pairs):
    """Frames of up to 16 KiB each, of which the first is HEADERS and the others continue it."""
    block = b"".join(b"\0" + text(name) + text(value) for name, value in pairs)
    parts = [block[at : at + 2**14] for at in range(0, len(block), 2**14)]
    for at, part in enumerate(parts):
        yield frame(9 if at else HEADERS, END_HEADERS * (part is parts[-1]), part)


async def called(port, pairs):
    """What the server sends to a call with these pairs, until it has ended the call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        writer.write(PREFACE + frame(SETTINGS, 0, b"", stream=0) + b"".join(headers(pairs)))
        writer.write(frame(DATA, END_STREAM, b"\0" * 5))
        found = b""
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await asyncio.wait_for(reader.readexactly(9), 60)
                kind, flags = head[3], head[4]
                found += await reader.readexactly(int.from_bytes(head[:3], "big"))
                if kind in (RESET, GOAWAY) or (kind == HEADERS and flags & END_STREAM):
                    break
    writer.transport.abort()
    return found


HOSTILE = [
    (b"a\nb", b"1"),
    (b"a", INJECTED),
    (b"x-request-id", INJECTED),
    (b"x-request-id", b"a\0b"),
    (b"traceparent", b"00-" + INJECTED),
    (b"authorization", b"Bearer a" + INJECTED),
    (b"x-forwarded-for", INJECTED),
    (b"a" + INJECTED, INJECTED),
    (b"", b"1"),
    (b"A", b"1"),
    (b"a b", b"1"),
    (b"a\xff", b"\xff\xfe"),
    (b"a-bin", b"no base64 \n"),
    (b":path", b"/"),
    (b":evil", b"1"),
    (b"host", b"evil.example\n"),
    (b"grpc-timeout", b"99999999999999999999H\n"),
    (b"grpc-encoding", b"a" + INJECTED),
    (b"content-length", b"-1"),
]


async def test_hostile_metadata_ends_its_call_at_most_and_writes_no_line(client, capsys):
    for pair in HOSTILE:
        await called(client.grpc_server.port, [*USUAL.items(), pair])
        assert (await client.call("ServerReady")).ready, pair
    written = capsys.readouterr().err
    assert "\n12:00:00.000 - forged" not in written
    assert "fault" not in written


@pytest.mark.parametrize("more", [0, 1, 16, 2**14, 2**20])
async def test_metadata_has_a_bound(client, more):
    """This client acknowledges no settings: gRPC has no bound for it, or one of twice as much."""
    pairs = [*USUAL.items(), (b"x", b"a" * (MAX_METADATA - PAIR - len(b"x") + more))]
    found = await called(client.grpc_server.port, pairs)
    said = f"the metadata has {MAX_METADATA + more} bytes; at most {MAX_METADATA} are accepted"
    rejected = said.encode() in found or (
        more >= MAX_METADATA and b"received metadata size exceeds" in found
    )
    assert rejected == bool(more), found
    assert (await client.call("ServerReady")).ready


@pytest.mark.parametrize("size", [2 * MAX_METADATA, 2**20])
async def test_metadata_past_the_bound_of_a_usual_client_is_rejected(client, size):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.call("ServerReady", metadata=(("x", "a" * size),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "metadata" in caught.value.details()


async def test_a_request_of_a_web_page_is_not_answered(client):
    """Browsers speak HTTP/1.1 without TLS: no name that leads here lets a page call a method."""
    body = b"\0" * 5
    reader, writer = await asyncio.open_connection("127.0.0.1", client.grpc_server.port)
    writer.write(
        f"POST /{SERVICE}/ServerReady HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example"
        f"\r\nContent-Type: application/grpc\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    found = b""
    with suppress(ConnectionError):
        found = await asyncio.wait_for(reader.read(), 60)
    writer.transport.abort()
    assert b"200 OK" not in found
    assert b"HTTP/1.1" not in found[:8]
