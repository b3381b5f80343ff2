"""Many clips by REST against a running server: which were answered, and after how long.

Closed loop: each of N clients sends its next clip after a response, as the predecessor's stress
test did. Open loop (`rate`): every clip is sent at its time, whatever comes back, and its latency
counts from that time, so that waiting cannot hide.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from benchmarks import signals
from benchmarks.serving import schedule

TIMEOUT_S = 60.0
"""Seconds after which a request counts as unanswered."""
VARIETY = 50
"""Different clips; sent again and again in turn."""


@dataclass(kw_only=True)
class Load(schedule.LoadOptions):
    """The options of the load."""

    requests: int
    clients: int = 100
    """Connections; each carries one request at a time."""
    rate: float = 0.0
    """Requests a second; 0 is the closed loop."""


@dataclass(kw_only=True)
class Tally(schedule.Results):
    """What happened to all clips together."""

    bad: Counter[str] = field(default_factory=Counter)
    """Clips without a right answer, by what happened."""
    seconds: float = 0.0
    """From the first request to the last response; idle clients do not count."""

    @property
    def ok(self) -> int:
        """Clips answered with scores."""
        return len(self.points)


def bodies_of(load: Load) -> list[bytes]:
    """Return the files to send in turn."""
    return [
        signals.wav(signals.plucked(2, seed=seed)) for seed in range(min(VARIETY, load.requests))
    ]


async def run(url: str, load: Load, bodies: list[bytes]) -> Tally:
    """Send the clips and return what happened."""
    rng, tally = np.random.default_rng(0), Tally()
    due = _due(load, rng)
    disconnecting = rng.random(load.requests) < load.drops
    work = iter(
        [
            (at, bodies[n % len(bodies)], disconnects)
            for n, (at, disconnects) in enumerate(zip(due, disconnecting, strict=True))
        ]
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        begin = time.monotonic()
        target = f"{url}/v1/models/{load.model}/classify"
        if load.rate:
            await _open_loop(http, target, work, tally, begin)
        else:
            starts = np.arange(load.clients) * load.ramp / load.clients
            await asyncio.gather(
                *(_client(http, target, work, tally, begin=begin, start=at) for at in starts)
            )
    return tally


def _due(load: Load, rng: np.random.Generator) -> Any:
    if not load.rate:
        return rng.uniform(0, load.jitter, load.requests)
    return schedule.clip_times(
        load.requests, rate=load.rate, ramp=load.ramp, jitter=load.jitter, rng=rng
    )


async def _client(
    http: aiohttp.ClientSession,
    url: str,
    work: Iterator[Any],
    tally: Tally,
    *,
    begin: float,
    start: float,
) -> None:
    """Send one clip after the other; in the closed loop a clip's time is a pause before it."""
    await asyncio.sleep(start)
    for pause, body, disconnects in work:
        await asyncio.sleep(pause)
        await _one(
            http, url, body, tally, begin=begin, due=time.monotonic(), disconnects=disconnects
        )


async def _open_loop(
    http: aiohttp.ClientSession, url: str, work: Iterator[Any], tally: Tally, begin: float
) -> None:
    async with asyncio.TaskGroup() as group:
        for at, body, disconnects in work:
            await asyncio.sleep(begin + at - time.monotonic())
            group.create_task(
                _one(http, url, body, tally, begin=begin, due=begin + at, disconnects=disconnects)
            )


async def _one(
    http: aiohttp.ClientSession,
    url: str,
    body: bytes,
    tally: Tally,
    *,
    begin: float,
    due: float,
    disconnects: bool,
) -> None:
    try:
        # A client that disconnects does so while the server works on its request.
        async with (
            asyncio.timeout(0.002 if disconnects else TIMEOUT_S),
            http.post(url, data=body) as response,
        ):
            answer = await response.read()
    except TimeoutError:
        if disconnects:
            tally.disconnected += 1
        else:
            tally.bad["no answer"] += 1
    except (aiohttp.ClientError, OSError) as error:
        tally.bad[type(error).__name__] += 1
    else:
        _count_response(response.status, answer, tally, begin=begin, due=due)
    tally.seconds = time.monotonic() - begin


def _count_response(status: int, answer: bytes, tally: Tally, *, begin: float, due: float) -> None:
    """Count an answer as good only if it holds the scores of a window."""
    body = json.loads(answer) if status == 200 else {}
    if not body.get("windows"):
        tally.bad[f"HTTP {status}"] += 1
        return
    tally.points.append((due - begin, 1e3 * (time.monotonic() - due)))
    tally.reported_ms.append(body["timing_ms"]["total"])
