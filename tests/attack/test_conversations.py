"""Odd conversations over a WebSocket: each ends, with an account that is right, none in a fault."""

import asyncio
import json
from collections import Counter

import aiohttp
import numpy as np

from tests.attack.conftest import ATTACKS, attacked, still_works, strict
from tests.service.conftest import noise, pcm
from tests.service.streaming.test_bounded_reader import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    UPGRADE,
    frame,
)

GOOD_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013}
START = {"type": "start", "sample_rate": 22_050}
FIELDS = {
    "sample_rate": (0, -1, 8_000, 192_000, 192_001, 1e308, "22050", None, 2**64, 22_050.5, True),
    "encoding": ("pcm_f32le", "pcm_s16le", "mp3", "", 1, None),
    "channels": (0, 1, 2, 8, 9, -1, "2", 1.5),
    "hop": (0, -1, 1e-9, 0.5, 2, 1e308, "x", None),
    "on_overload": ("latest", "complete", "none", 1),
    "numbered": (True, False, 1, "yes"),
    "first_sample": (0, 1, -1, 2**53, 2**64, 0.5),
    "other": (1, [[[]]], {"a": {}}),
}
TEXTS = ("", "{", "[]", "null", '{"type":"end"}', '{"type":"x"}', '{"type":["start"]}', "[" * 4_000,
         '{"type":"start","sample_rate":NaN}', "\x00", "x" * 5_000, '{"a":1,"a":2}',
         "1e999")  # fmt: skip


def start(chance):
    fields = dict(START)
    while chance.random() < 0.4:
        name = chance.choice(list(FIELDS))
        fields[name] = chance.choice(FIELDS[name])
    return frame(TEXT, json.dumps(fields).encode())


def audio(chance):
    kind = chance.randrange(4)
    if kind == 0:
        data = pcm(noise(chance.choice((0.01, 0.5, 3))))
    elif kind == 1:
        data = chance.randbytes(chance.choice((0, 1, 7, 8, 9, 1_001, 100_000)))
    elif kind == 2:
        data = np.full(1_000, chance.choice((np.nan, np.inf, 1e30)), np.float32).tobytes()
    else:
        data = chance.choice((0, 10, 2**53, 2**64 - 1)).to_bytes(8, "little") + pcm(noise(0.5))
    return frame(BINARY, data)


def odd(chance):
    """Frames against the protocol."""
    return chance.choice(
        (
            frame(CONTINUATION, b"x"),
            frame(BINARY, b"x" * 100, last=False),
            frame(BINARY, b"x" * 100, compressed=True),
            frame(PING, b"x" * 126),
            frame(3, b""),
            frame(BINARY, b"", length=2**63 - 1),
            frame(BINARY, b"", length=2**31),
            frame(TEXT, b"\xff\xfe"),
            frame(CLOSE, b"\0"),
            frame(CLOSE, (999).to_bytes(2, "big")),
            frame(CLOSE, (1_000).to_bytes(2, "big")),
            chance.randbytes(50),
        )
    )


def conversation(chance):
    """Bytes of a client, most of it sensible."""
    parts = [start(chance)] if chance.random() < 0.9 else []
    for _ in range(chance.randrange(6)):
        kind = chance.random()
        if kind < 0.6:
            parts.append(audio(chance))
        elif kind < 0.8:
            parts.append(frame(TEXT, chance.choice(TEXTS).encode()))
        else:
            parts.append(odd(chance))
    if chance.random() < 0.5:
        parts.append(frame(TEXT, b'{"type":"end"}'))
    return b"".join(parts)


async def talk(chance, port):
    """Have one conversation; return its close code, or how else it ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    messages, code = [], "disconnected"
    try:
        writer.write(UPGRADE)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        data = conversation(chance)
        while data:
            size = chance.choice((1, 10, 1_000, 100_000, len(data)))
            writer.write(data[:size])
            data = data[size:]
            await asyncio.sleep(0)
        if chance.random() < 0.1:
            return "left"
        async with asyncio.timeout(60):
            while True:
                first, size = await reader.readexactly(2)
                if size > 125:
                    wide = await reader.readexactly(2 if size == 126 else 8)
                    size = int.from_bytes(wide, "big")
                payload = await reader.readexactly(size)
                if first & 15 == CLOSE:
                    code = int.from_bytes(payload[:2], "big")
                    break
                if first & 15 == TEXT:
                    messages.append(strict(payload))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()
    check(messages, code)
    return code


def check(messages, code):
    """The last message and the account fit the code, which is none of a fault."""
    assert code in GOOD_CODES | {"disconnected"}, (code, messages[-1:])
    last = messages[-1] if messages else {}
    if last.get("type") == "end":
        parts = ("samples_processed", "samples_dropped", "samples_tail")
        assert last["samples_received"] == sum(last[part] for part in parts)
        assert last["windows"] == sum(each["type"] == "window" for each in messages)


async def test_odd_conversations(folder, chance, told):
    counts = Counter()
    options = ("--artefacts", folder, "--set", "idle_timeout=0.3", "--set", "start_timeout=0.3")
    with attacked(*options) as (address, _):
        port = int(address.rsplit(":", 1)[1])
        async with aiohttp.ClientSession() as http:
            for _ in range(0, ATTACKS, 8):
                ended = await asyncio.gather(*(talk(chance, port) for _ in range(8)))
                counts.update(ended)
            await still_works(http, address)
    told("conversations by close code", counts)
    assert {1_000, 1_007} <= set(counts)
