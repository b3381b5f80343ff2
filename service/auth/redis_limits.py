"""What each key may still do, counted in Redis by all gateways together."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.auth.keys import Key
from service.auth.limits import rate_exceeded, streams_exceeded
from service.log import log
from service.queue.redis_connection import REDIS_ERRORS, close, connect

RATE, STREAMS = "{timbre}:rate:", "{timbre}:streams:"
LEASE_S = 6.0
"""How long the streams of a gateway that died count."""
RENEW_S = 2.0
ANSWER_S = 0.25
"""How long Redis may take; a request is not kept longer for a count."""
ALONE_S = 1.0
"""How long this process goes by its own counts after Redis did not answer."""
SPEND = """
local time = redis.call('TIME')
local now, rate = time[1] + time[2] / 1e6, tonumber(ARGV[1])
local rim, kept = math.max(1, rate), redis.call('HMGET', KEYS[1], 'tokens', 'at')
local filled = math.max(0, now - tonumber(kept[2] or now)) * rate
local tokens = math.min(rim, tonumber(kept[1] or rim) + filled)
local wait = 0
if tokens < 1 then wait = math.ceil((1 - tokens) / rate) else tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil(rim / rate) + 1)
return wait
"""
"""Takes a token from a bucket that fills by the second; gives 0, or in how many seconds there will
be one."""
BEGIN = """
local time = redis.call('TIME')
local now, lease = time[1] + time[2] / 1e6, tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 2 * lease, '+inf')
local open = redis.call('ZCARD', KEYS[1])
if open >= tonumber(ARGV[2]) then return open end
redis.call('ZADD', KEYS[1], now + lease, ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(2 * lease))
return -1
"""
"""Counts a stream until its lease ends; gives -1, or how many are open when that is too many.

A lease that ends much later than any can was given before the clock was set back.
"""
RENEW = """
local time = redis.call('TIME')
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], time[1] + time[2] / 1e6 + ARGV[1], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], math.ceil(2 * ARGV[1]))
"""
END = "return redis.call('ZREM', KEYS[1], ARGV[1])"


class RedisLimits:
    """Counts with all other gateways. While Redis is away nothing is counted here: each process has its own counts."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._leases: dict[str, set[str]] = {}  # key: streams open here
        self._alone_until = 0.0

    async def spend(self, key: Key) -> None:
        """Count a request. Raises TooMany when there were too many before it."""
        if wait_s := await self._ask(SPEND, RATE + key.id, key.rate):
            raise rate_exceeded(key, wait_s)

    @asynccontextmanager
    async def streaming(self, key: Key) -> AsyncIterator[None]:
        """Count a stream while it lasts. Raises TooMany past the bound."""
        lease = uuid.uuid4().hex
        found = await self._ask(BEGIN, STREAMS + key.id, lease, key.streams, LEASE_S)
        if found is not None and found >= 0:
            raise streams_exceeded(found)
        leases = self._leases.setdefault(key.id, set())
        leases.add(lease)
        try:
            yield
        finally:
            leases.discard(lease)
            if not leases:
                self._leases.pop(key.id, None)
            await self._ask(END, STREAMS + key.id, lease)

    async def watch(self) -> None:
        """Keep the leases of open streams, for ever."""
        while True:
            await asyncio.sleep(RENEW_S)
            for key, leases in tuple(self._leases.items()):
                if leases:
                    await self._ask(RENEW, STREAMS + key, LEASE_S, *leases)

    async def close(self) -> None:
        """Part from Redis."""
        await close(self._redis)

    async def _ask(self, script: str, key: str, *values: Any) -> int | None:
        """Return what a script gives; None when Redis does not answer."""
        if time.monotonic() < self._alone_until:
            return None
        try:
            async with asyncio.timeout(ANSWER_S):
                given: int | None = await self._redis.eval(script, 1, key, *values)
        except (*REDIS_ERRORS, TimeoutError) as error:
            log("keys are counted by each gateway alone", why=str(error) or "timeout")
            self._alone_until = time.monotonic() + ALONE_S
            return None
        return given
