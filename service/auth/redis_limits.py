"""Limits of API keys counted by all gateways together, in Redis."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.auth.keys import Key
from service.auth.limits import failure_log, rate_exceeded, streams_exceeded
from service.queue.redis_connection import REDIS_ERRORS, close, connect
from service.queue.redis_keys import OPEN_STREAMS, RATES

LEASE_S = 6.0
"""How long the streams of a gateway that died are counted."""
RENEW_S = 2.0
REPLY_S = 0.25
"""Time limit for Redis; no request waits longer to be counted."""
LOCAL_FALLBACK_S = 1.0
"""How long this process counts only its own requests after Redis did not reply."""
REMOVE_WRONG_TYPE = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= '%s' then redis.call('UNLINK', KEYS[1]) end
"""
COUNT_REQUEST = f"""
{REMOVE_WRONG_TYPE % "hash"}
local time = redis.call('TIME')
local now, rate = time[1] + time[2] / 1e6, tonumber(ARGV[1])
local capacity, kept = math.max(1, rate), redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1] or ''), tonumber(kept[2] or '')
-- Comparisons with NaN are false, so it counts as no number.
if not (tokens and tokens >= 0 and tokens <= capacity) then tokens = capacity end
if not (at and at >= 0 and at <= now) then at = now end
tokens = math.min(capacity, tokens + (now - at) * rate)
local wait = 0
if tokens < 1 then wait = math.ceil((1 - tokens) / rate) else tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 1)
return wait
"""
"""Takes a token from the bucket; returns 0, or in how many seconds there will be one."""
OPEN_STREAM = f"""
{REMOVE_WRONG_TYPE % "zset"}
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
"""Adds a lease of a stream; returns -1, or the number of open streams at the limit.

A lease that ends later than any can was given before the clock was set back; it is removed.
"""
RENEW_STREAMS = f"""
{REMOVE_WRONG_TYPE % "zset"}
local time = redis.call('TIME')
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], time[1] + time[2] / 1e6 + ARGV[1], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], math.ceil(2 * ARGV[1]))
"""
CLOSE_STREAM = f"""
{REMOVE_WRONG_TYPE % "zset"}
return redis.call('ZREM', KEYS[1], ARGV[1])
"""


class RedisLimits:
    """`SharedLimits` in Redis. While it is unavailable, each process counts its own."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._leases: dict[str, set[str]] = {}  # of streams of this process, by key
        self._local_until = 0.0
        self._failure = failure_log()

    async def count_request(self, key: Key) -> None:
        """Count a request. Raises TooMany past the rate."""
        if wait_s := await self._run(COUNT_REQUEST, RATES + key.id, key.rate):
            raise rate_exceeded(key, wait_s)

    @asynccontextmanager
    async def count_stream(self, key: Key) -> AsyncIterator[None]:
        """Count a stream until the block ends. Raises TooMany past the limit."""
        lease = uuid.uuid4().hex
        count = await self._run(OPEN_STREAM, OPEN_STREAMS + key.id, lease, key.streams, LEASE_S)
        if count is not None and count >= 0:
            raise streams_exceeded(key, count)
        leases = self._leases.setdefault(key.id, set())
        leases.add(lease)
        try:
            yield
        finally:
            leases.discard(lease)
            if not leases:
                self._leases.pop(key.id, None)
            await self._run(CLOSE_STREAM, OPEN_STREAMS + key.id, lease)

    async def renew(self) -> None:
        """Renew the leases of open streams until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            for key, leases in tuple(self._leases.items()):
                if leases:
                    await self._run(RENEW_STREAMS, OPEN_STREAMS + key, LEASE_S, *leases)

    async def close(self) -> None:
        """Close the connection to Redis."""
        await close(self._redis)

    async def _run(self, script: str, key: str, *values: Any) -> int | None:
        """Return what a script returns; None when Redis does not reply."""
        if time.monotonic() < self._local_until:
            return None
        try:
            async with asyncio.timeout(REPLY_S):
                result: int | None = await self._redis.eval(script, 1, key, *values)
        except (*REDIS_ERRORS, TimeoutError) as error:
            self._failure.failed(str(error) or "timeout")
            self._local_until = time.monotonic() + LOCAL_FALLBACK_S
            return None
        self._failure.worked()
        return result
