"""Many live streams at real speed against a running server: answers, drops, what is missing, and the age of answers.

Open loop: every chunk is sent at the absolute time of its last sample, however late the server is, so that waiting
cannot hide. Run it in a process of its own, never in the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from service import wire

CHUNK_S = 0.1
"""Seconds of sound in one message."""
PATIENCE_S = 15.0
"""Seconds to wait for the last answers."""


@dataclass
class Tally:
    """What happened to all streams together."""

    expected: int = 0
    """Windows that the sound sent makes."""
    fates: Counter[str] = field(default_factory=Counter)
    """`answered`, and `dropped` by reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """Streams that did not end as they should, by what happened."""
    ages_ms: list[float] = field(default_factory=list)
    """As measured here: from the time the window's last sample was due to the answer's arrival."""
    told_ms: list[float] = field(default_factory=list)
    """As the server tells."""
    lag_ms: list[float] = field(default_factory=list)
    """How late this program itself sent: above a few ms it measures itself."""

    @property
    def missing(self) -> int:
        """Windows neither answered nor dropped."""
        return self.expected - self.fates.total()


def run(
    *,
    streams: int = 100,
    seconds: float = 60.0,
    url: str = "http://127.0.0.1:8000",
    model: str = "instruments",
    sample_rate: int = 22_050,
    hop: float = 0.5,
) -> Tally:
    """Run `streams` streams for `seconds` each, print the tally and return it."""
    try:
        import uvloop
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    tally = runner(
        _run_all(
            streams=streams, seconds=seconds, url=f"{url}/v1/models/{model}/stream", sample_rate=sample_rate, hop=hop
        )
    )
    print(report(tally, streams=streams, seconds=seconds))
    return tally


def report(tally: Tally, *, streams: int, seconds: float) -> str:
    """Return the result as text."""
    dropped = {fate: count for fate, count in tally.fates.items() if fate != "answered"}
    counts = (
        f"{streams} streams of {seconds:g} s: {tally.expected} windows, {tally.fates['answered']} answered, "
        f"{sum(dropped.values())} dropped {dropped or ''}, {tally.missing} missing, "
        f"{tally.failed.total()} streams failed {dict(tally.failed) or ''}"
    )
    lines = [counts]
    for name, values in (
        ("age, end to end", tally.ages_ms),
        ("age, as told", tally.told_ms),
        ("sender's lag", tally.lag_ms),
    ):
        p50, p99, most = np.percentile(values or [math.nan], [50, 99, 100])
        lines.append(f"{name:16} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   max {most:7.2f} ms")
    return "\n".join(lines)


async def _run_all(*, streams: int, seconds: float, url: str, sample_rate: int, hop: float) -> Tally:
    tally = Tally()
    start = wire.Start(sample_rate=sample_rate, hop=hop)
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal(5 * sample_rate) * 3_000).astype("<i2")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        # Microphones are not switched on at the same moment.
        delays = rng.uniform(0, hop, streams)
        await asyncio.gather(
            *(_one(http, url, start, tally, sound=sound, seconds=seconds, delay=delay) for delay in delays)
        )
    return tally


async def _one(
    http: aiohttp.ClientSession,
    url: str,
    start: wire.Start,
    tally: Tally,
    *,
    sound: np.ndarray,
    seconds: float,
    delay: float,
) -> None:
    await asyncio.sleep(delay)
    try:
        async with http.ws_connect(url, max_msg_size=0, compress=0) as socket:
            await socket.send_str(wire.encode(start))
            ready = wire.parse_server((await socket.receive()).data)
            if not isinstance(ready, wire.Ready):
                tally.failed[str(ready)] += 1
                return
            tally.expected += _windows(ready, seconds)
            begin = time.monotonic()
            listening = asyncio.create_task(_listen(socket, tally, begin, start.sample_rate))
            await _send(socket, tally, start.sample_rate, sound=sound, seconds=seconds, begin=begin)
            async with asyncio.timeout(PATIENCE_S):
                await listening
    except (aiohttp.ClientError, OSError, TimeoutError, TypeError) as error:
        tally.failed[type(error).__name__] += 1


async def _send(
    socket: aiohttp.ClientWebSocketResponse, tally: Tally, rate: int, *, sound: np.ndarray, seconds: float, begin: float
) -> None:
    size = round(CHUNK_S * rate)
    for position in range(0, round(seconds * rate), size):
        end = min(position + size, round(seconds * rate))
        due = begin + end / rate
        await asyncio.sleep(due - time.monotonic())
        tally.lag_ms.append(1e3 * (time.monotonic() - due))
        at = position % (len(sound) - size)
        await socket.send_bytes(sound[at : at + end - position].tobytes())
    await socket.send_str(wire.encode(wire.Stop()))


async def _listen(socket: aiohttp.ClientWebSocketResponse, tally: Tally, begin: float, rate: int) -> None:
    size = round(CHUNK_S * rate)
    async for message in socket:
        now = time.monotonic()
        told = wire.parse_server(message.data)
        if isinstance(told, wire.Window):
            # The chunk that holds the window's last sample is due when its own last sample is.
            due = begin + -(-told.end_sample // size) * size / rate
            tally.ages_ms.append(1e3 * (now - due))
            tally.told_ms.append(told.age_ms.total)
            tally.fates["answered"] += 1
        elif isinstance(told, wire.Dropped):
            tally.fates[told.reason] += 1
        elif isinstance(told, wire.Summary):
            return
        elif isinstance(told, wire.Failure):
            tally.failed[told.code] += 1
            return
    tally.failed["closed without an end"] += 1


def _windows(ready: wire.Ready, seconds: float) -> int:
    """Return how many windows fit into so much sound."""
    length, hop = round(ready.window * ready.sample_rate), round(ready.hop * ready.sample_rate)
    return max(0, 1 + (math.floor(seconds * ready.sample_rate) - length) // hop)


def main(argv: list[str]) -> int:
    """Run `timbre bench streams`; 1 when a window is missing or a stream failed."""
    parser = argparse.ArgumentParser(prog="timbre bench streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=100, metavar="N", help="streams at one time (100)")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="length of each (60)")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the server (http://127.0.0.1:8000)")
    parser.add_argument("--model", default="instruments", metavar="NAME", help="the model (instruments)")
    parser.add_argument("--sample-rate", type=int, default=22_050, metavar="HZ", help="what is sent (22050)")
    parser.add_argument("--hop", type=float, default=0.5, metavar="S", help="between windows (0.5)")
    tally = run(**vars(parser.parse_args(argv)))
    return 1 if tally.missing or tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
