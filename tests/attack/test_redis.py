"""Garbage in every key of Redis: no process ends, and work goes on once it is gone."""

import asyncio
from collections import Counter

import aiohttp
import redis as client

from service.queue.redis_keys import (
    CLIP_JOBS,
    DEAD_LETTERS,
    GATEWAYS,
    LIVE_JOBS,
    LOADED,
    REPLIES,
    REQUESTED,
    WORKERS,
)
from tests.attack.conftest import ATTACKS, GOOD, attacked, still_works

KEYS = (
    LIVE_JOBS,
    CLIP_JOBS,
    DEAD_LETTERS,
    LOADED,
    REQUESTED,
    WORKERS,
    REPLIES + "x",
    GATEWAYS + "x",
)
BYTES = (b"", b"\xff\xfe", b"toy:2", b"toy:", b":", b"a:b:c", b"../../etc/passwd:1", b"\0" * 100,
         b"NaN", b"9" * 400, b"\x1b[31m", b"{timbre}", b"x" * 100_000)  # fmt: skip
KINDS = ("stream", "zset", "hash", "string")
NUMBERS = (0, -1, 1e15, float("inf"), float("-inf"), 1.5, 2**62)


def spoil_key(chance, redis):
    """Write garbage of the key's type, or of another; return what was done."""
    key, value = chance.choice(KEYS), chance.choice(BYTES)
    gateways = list(redis.scan_iter(REPLIES + "*"))
    if chance.random() < 0.3 and gateways:
        key = chance.choice(gateways)
    kind = redis.type(key).decode() if chance.random() < 0.7 else "none"
    kind = chance.choice(KINDS) if kind == "none" else kind
    field = chance.choice((b"job", b"answers", b"why", b"stream", b"", b"\xff"))
    try:
        if kind == "stream":
            redis.xadd(key, {field: value, b"why": chance.choice(BYTES)})
        elif kind == "zset":
            redis.zadd(key, {value: chance.choice(NUMBERS)})
        elif kind == "hash":
            redis.hset(key, value, chance.choice(BYTES))
        else:
            redis.set(key, value)
    except client.ResponseError:
        return "refused by Redis"
    return kind


async def test_garbage_in_redis(folder, chance, told, redis_server, redis_url):
    counts, statuses = Counter(), Counter()
    options = ("--artefacts", folder, "--redis", redis_url, "--workers", 1)
    with attacked(*options, workers=1) as (address, server):
        async with aiohttp.ClientSession() as http:
            await working(http, address)
            for _ in range(max(15, ATTACKS // 10)):
                counts[spoil_key(chance, redis_server.client)] += 1
                async with http.post(f"{address}/v1/models/toy/classify", data=GOOD) as response:
                    statuses[response.status] += 1
                    assert response.status in (200, 500, 503, 504), await response.text()
            redis_server.client.flushall()
            await working(http, address)
        assert not server.find("exited")
    told("garbage in Redis by kind", counts)
    told("clips beside it by status", statuses)


async def working(http, address):
    """Return when a good clip is answered."""
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{address}/readyz") as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.05)
    await still_works(http, address)
