"""What it costs to count: CPU time of the counting of one live window, beside that of the window.

On and off in two servers differ by less than two runs of one server do: so the counting is timed
alone, many times over, and the window in a server under load.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks import server_process
from benchmarks.serving import streams
from service import protocol
from service.inference.job_counter import JobCounter
from service.metrics.metrics import Metrics
from service.streaming.accounting import SampleAccount
from service.streaming.stream_counter import StreamCounter

TITLE = "Counting"
BUDGET = 1.0
"""Percent of the CPU time of a window, at most."""
LABELS = ("instruments", "live")
RATE, HOP = 16_000, 8_000
AGE = protocol.Age(total=12.0, waiting=1.0, features=0.2, queue=1.5, model=0.5)


def run(
    *, tiny: bool = False, options: list[str] | None = None, model: str = "instruments"
) -> list[dict[str, Any]]:
    """Return one row: counting_us, window_us, percent, dropped. options: of the server."""
    load = streams.Load(model=model, streams=2 if tiny else 50, seconds=3 if tiny else 20, ramp=1.0)
    with server_process.served(options or []) as (url, pid):
        before = server_process.cost(pid)[0]
        tally = asyncio.run(streams.run(url, load, streams.sound_of(load)))
        spent = server_process.cost(pid)[0] - before
    window_us = 1e6 * spent / max(1, tally.fates["answered"])
    counting_us = _counting_us(1_000 if tiny else 50_000)
    percent = 100 * counting_us / window_us
    row = {"counting_us": counting_us, "window_us": window_us, "percent": percent}
    return [{**row, "dropped": tally.dropped}]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line if the budget is not met, or nothing was measured."""
    percent, dropped = table[0]["percent"], table[0]["dropped"]
    if dropped:
        return [f"{dropped} windows were dropped, whose cost is not known: too busy a machine"]
    return [f"counting: {percent:.2f} %, at most {BUDGET} %"] if percent > BUDGET else []


def _counting_us(windows: int) -> float:
    """Return the microseconds of CPU time in which a window is counted, each in a batch alone."""
    metrics, account = Metrics(), SampleAccount()
    jobs = JobCounter(metrics)
    counter = StreamCounter(metrics, account, model="instruments", sample_rate=RATE)
    begin = time.process_time()
    for number in range(windows):
        jobs.begin("job", LABELS)
        metrics.batch_size.observe(1, "instruments")
        jobs.end("job", LABELS)
        end = (number + 1) * HOP
        account.answer(end - HOP, end)
        counter.sent(
            protocol.Window(
                start=0.0,
                end=2.0,
                start_sample=end - HOP,
                end_sample=end,
                scores={},
                labels=(),
                version="1",
                age_ms=AGE,
            )
        )
    return 1e6 * (time.process_time() - begin) / windows
