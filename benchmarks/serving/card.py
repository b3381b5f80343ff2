"""What this machine carries, measured in a minute, as a picture to keep.

One server, as many gateways as cores, with the load on the same machine: live streams in time, then
clips and pictures of clients that each wait for their response.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import measure, pictures, server_process, signals
from benchmarks.reporting import results
from benchmarks.serving import capacity, card_page, load, schedule
from common.atomic import write_atomic
from common.errors import InputError, TimbreError
from common.strict_json import to_json

FIRST = 100
"""Streams of the first try, from whose cost the next number is guessed."""
STREAM_S, RAMP_S = 4.0, 3.0
"""Seconds of each stream, and those over which a crowd comes."""
SEARCH_S = 30.0
"""Seconds after which no further number of streams is tried."""
REQUESTS_S, CLIENTS = 4.0, 32
BUSY_S = 0.1
"""Seconds after which a client that got 503 tries again."""
PACKAGES = ("timbre", "onnxruntime", "onnxruntime-gpu", "numpy")


def run(given: argparse.Namespace) -> int:
    """Measure and write the card; return 0, or 1 when no stream is served in time."""
    report = measured(given, tell=lambda text: print(text, file=sys.stderr, flush=True))
    write_atomic(given.card, card_page.WRITERS[given.card.suffix](report))
    print(to_json(report) if given.json else f"card     {given.card}")
    return 0 if report["streams"] else 1


def check_path(path: Path) -> None:
    """Raise InputError for a card that could not be written."""
    if path.suffix not in card_page.WRITERS:
        raise InputError(f"{path} must end with {' or '.join(card_page.WRITERS)}")
    if not path.parent.is_dir():
        raise InputError(f"{path}: no folder {path.parent}")


def measured(given: argparse.Namespace, *, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of the card. tell: gets a line after each step."""
    begin = time.monotonic()
    report: dict[str, Any] = {
        "machine": measure.machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "limit_ms": capacity.LIMIT_MS,
        "hop": given.hop,
        "versions": results.versions(PACKAGES),
    }
    with capacity.server(given) as (url, pid):
        served = asyncio.run(_get(f"{url}/v1/models"))["models"]
        report |= _model(served, given.model)
        clip = signals.wav(signals.plucked(2))
        report["clips_per_s"] = asyncio.run(rate(url, given.model, [clip]))
        tell(f"{report['clips_per_s']:.0f} clips of 2 s a second")
        picture = next((each["name"] for each in served if "events" not in each), None)
        report |= {"picture_model": picture, "pictures_per_s": None}
        if picture:
            report["pictures_per_s"] = asyncio.run(rate(url, picture, pictures.jpegs()))
            tell(f"{report['pictures_per_s']:.0f} pictures a second, {picture}")
        # Last: for seconds after too many streams a server takes no clips.
        report |= _streams(given, url, pid, tell)
        report["mib"] = round(server_process.cost(pid)[1]) if pid else None
    report["seconds"] = round(time.monotonic() - begin)
    return report


def guess(row: dict[str, Any], *, cores: int) -> int:
    """Return the number of streams to begin with, from the cost of a first try.

    row: as of capacity.evaluate. Load and server share the cores; a part of them stays free.
    """
    busy = (row["server_cpu"] or 0) + row["load_cpu"]
    return max(FIRST, int(row["streams"] * 0.6 * cores / max(busy, 0.01)))


def _model(served: list[dict[str, Any]], name: str) -> dict[str, Any]:
    model = next((each for each in served if each["name"] == name), None)
    if model is None:
        names = ", ".join(each["name"] for each in served)
        raise InputError(f"no model {name!r}; the server has {names}")
    return {key: model[key] for key in ("version", "provider")} | {"model": name}


def _streams(
    given: argparse.Namespace, url: str, pid: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Return the largest number of streams in time, and the p99 age with it."""
    begin, most = time.monotonic(), 0
    tried: dict[int, dict[str, Any]] = {}

    def good(count: int) -> bool:
        nonlocal most
        if count not in tried:
            if tried and time.monotonic() - begin > SEARCH_S:
                return False
            given.openings = max(capacity.OPENINGS, count / RAMP_S)
            work = capacity.load_of(count, given)
            tried[count] = capacity.evaluate(load.run(url, pid, clip_load=None, stream_load=work))
            tell(capacity.as_line(tried[count]))
        row = tried[count]
        if row["good"]:
            most = max(most, count)
        return bool(row["good"])

    given.seconds = STREAM_S
    if good(min(FIRST, given.most)):
        start = guess(tried[FIRST], cores=os.cpu_count() or 1) if FIRST in tried else given.most
        schedule.largest(good, start=min(start, given.most), most=given.most, precision=0.15)
    else:
        schedule.largest(good, start=FIRST // 2, most=FIRST, precision=0.15)
    return {"streams": most, "p99_ms": tried[most]["p99_ms"] if most else None}


async def rate(url: str, model: str, bodies: list[bytes]) -> float:
    """Return the responses a second to clients that each wait for theirs. Raises TimbreError."""
    waiting, until, done = cycle(bodies), time.monotonic() + REQUESTS_S, 0

    async def client(http: aiohttp.ClientSession) -> None:
        nonlocal done
        while time.monotonic() < until:
            async with http.post(f"{url}/v1/models/{model}/classify", data=next(waiting)) as found:
                body = await found.text()
            if found.status == HTTPStatus.OK:
                done += 1
            elif found.status == HTTPStatus.SERVICE_UNAVAILABLE:
                await asyncio.sleep(BUSY_S)
            else:
                raise TimbreError(f"{model}: HTTP {found.status}: {body}")

    begin = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(client(http) for _ in range(CLIENTS)))
    return done / (time.monotonic() - begin)


async def _get(url: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        response.raise_for_status()
        return await response.json()
