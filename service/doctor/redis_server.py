"""Redis as Timbre uses it: version, round trip, rights, eviction, persistence, clock."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from common.errors import Unprocessable
from service.doctor.finding import Finding, attention, bad, good, graded
from service.doctor.system import check_skew
from service.queue.redis_connection import REDIS_ERRORS, close, connect, redacted
from service.queue.redis_health import eviction_policy, failed_writes

LEAST = (6, 2)
PINGS = 20
SLOW_MS, TOO_SLOW_MS = 5.0, 100.0
GROUP = "doctor"


async def check_redis(url: str) -> list[Finding]:
    """Connect, time round trips, and try each command on a key of its own."""
    try:
        redis = connect(url)
    except Unprocessable as error:
        return [bad("Redis", str(error), "see the addresses in BEHAVIOUR.md")]
    try:
        times = []
        for _ in range(PINGS):
            begin = time.perf_counter()
            await redis.time()
            times.append(1e3 * (time.perf_counter() - begin))
        findings = [check_round_trip(times), await _clock(redis)]
        findings.append(check_rights(await _denied(redis)))
        try:
            info = await redis.info()
        except REDIS_ERRORS as error:
            findings.append(
                attention("Redis settings", f"not readable: {error}", "allow the command INFO")
            )
        else:
            findings += [check_version(info), check_eviction(info), check_persistence(info)]
    except REDIS_ERRORS as error:
        todo = "start it, or mend the address, the password or the network"
        return [bad("Redis", f"{redacted(url)}: {error}", todo)]
    finally:
        await close(redis)
    return findings


def check_version(info: Mapping[str, Any]) -> Finding:
    """Judge the version. info: as of INFO."""
    version = str(info.get("redis_version", "0"))
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    name = f"{info.get('server_name', 'Redis')} {info.get('valkey_version', version)}"
    if parts < LEAST:
        return bad("Redis version", name, f"Timbre needs {'.'.join(map(str, LEAST))} or later")
    return good("Redis version", name)


def check_round_trip(times_ms: list[float]) -> Finding:
    """Judge the median of the round trips."""
    median = sorted(times_ms)[len(times_ms) // 2]
    return graded(
        "Redis round trip",
        f"{median:.2f} ms, at most {max(times_ms):.2f} ms",
        bad_if=median >= TOO_SLOW_MS,
        attention_if=median >= SLOW_MS,
        todo="put Redis near its gateways and workers: each job takes two round trips",
    )


def check_rights(denied: Iterable[str]) -> Finding:
    """Judge the commands that Redis rejected."""
    if names := ", ".join(denied):
        todo = "give the user the keys ~{timbre}:* and these commands (ACL SETUSER)"
        return bad("Redis rights", f"rejected: {names}", todo)
    return good("Redis rights", "all commands that Timbre uses")


def check_eviction(info: Mapping[str, Any]) -> Finding:
    """Judge what Redis does when its memory is full."""
    limit, policy = int(info.get("maxmemory", 0)), eviction_policy(info)
    found = f"{policy}, {f'maxmemory {limit:,} bytes' if limit else 'no maxmemory'}"
    return graded(
        "Redis eviction",
        found,
        bad_if=bool(limit) and policy.startswith("allkeys"),
        attention_if=policy != "noeviction",
        todo="set maxmemory-policy noeviction: jobs and API keys may be evicted",
    )


def check_persistence(info: Mapping[str, Any]) -> Finding:
    """Judge whether writing to disk fails, which makes Redis read-only."""
    if failed := failed_writes(info):
        todo = "make room on its disk; until then Redis may reject writes"
        return bad("Redis persistence", f"{', '.join(failed)}: failed", todo)
    append = "append-only file" if info.get("aof_enabled") else "no append-only file"
    loading = ", loading its data" if info.get("loading") else ""
    return good("Redis persistence", f"{append}{loading}; Timbre needs none, API keys in Redis do")


async def _clock(redis: Any) -> Finding:
    begin = time.time()
    seconds, micros = await redis.time()
    return check_skew("Redis", seconds + micros / 1e6 - (begin + time.time()) / 2)


async def _denied(redis: Any) -> list[str]:
    """Return the commands that are rejected, tried on a key that is removed."""
    key = f"{{timbre}}:doctor:{secrets.token_hex(8)}"
    stream, group = f"{key}:stream", ("GROUP", GROUP, "one")
    sums = "return redis.call('TYPE', KEYS[1])"
    commands: list[tuple[Any, ...]] = [
        ("SET", key, "1", "PX", 10_000),
        ("XADD", stream, "*", "job", "1"),
        ("PEXPIRE", stream, 10_000),
        ("XGROUP CREATE", stream, GROUP, "0"),
        ("XREADGROUP", *group, "COUNT", 1, "STREAMS", stream, ">"),
        ("XREAD", "COUNT", 1, "STREAMS", stream, "0"),
        ("XLEN", stream),
        ("XRANGE", stream, "-", "+"),
        ("XREVRANGE", stream, "+", "-"),
        ("XPENDING", stream, GROUP),
        ("XINFO CONSUMERS", stream, GROUP),
        ("XCLAIM", stream, GROUP, "one", 0, "0-1"),
        ("XACK", stream, GROUP, "0-1"),
        ("XDEL", stream, "0-1"),
        ("ZADD", f"{key}:set", 1, "a"),
        ("ZCARD", f"{key}:set"),
        ("ZREVRANGE", f"{key}:set", 0, -1),
        ("ZRANGEBYSCORE", f"{key}:set", 0, 1),
        ("ZREMRANGEBYSCORE", f"{key}:set", 0, 1),
        ("HSET", f"{key}:hash", "a", "1"),
        ("HMGET", f"{key}:hash", "a"),
        ("HGETALL", f"{key}:hash"),
        ("EVAL", sums, 1, key),
        ("DEL", f"{key}:hash"),
        ("UNLINK", key, stream, f"{key}:set"),
    ]
    async with redis.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        results = await pipe.execute(raise_on_error=False)
    return [
        f"{command[0]} ({result})"
        for command, result in zip(commands, results, strict=True)
        if isinstance(result, Exception)
    ]
