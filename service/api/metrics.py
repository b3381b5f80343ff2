"""The metrics of this machine's processes, for Prometheus."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from common.errors import Busy
from service.metrics.exposition import expose, media_type
from service.metrics.totals import Counted, Totals

PAUSES = 9
"""A scrape may begin so many times its own duration after the last one: a tenth of the time."""
MAX_WAITING = 64
"""Scrapes that wait for theirs."""


class Scraper:
    """Reads and formats the totals, in a thread. Scrapes that wait at one time share a reading."""

    def __init__(self, metrics: Counted) -> None:
        self._metrics = metrics
        self._totals = Totals(metrics)
        self._pending: dict[str, asyncio.Task[str]] = {}
        self._waiting = 0
        self._due = 0.0
        self._lock = asyncio.Lock()

    async def text(self, kind: str) -> str:
        """Return what holds now, in a format of `exposition`. Raises Busy past MAX_WAITING."""
        if self._waiting >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} scrapes wait already")
        if kind not in self._pending:
            self._pending[kind] = asyncio.create_task(self._read(kind))
        self._waiting += 1
        try:
            # A client that leaves does not end what others wait for.
            return await asyncio.shield(self._pending[kind])
        finally:
            self._waiting -= 1

    async def _read(self, kind: str) -> str:
        async with self._lock:
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            # What is counted from now on may be missing in it: later scrapes need another.
            del self._pending[kind]
            begin = time.monotonic()
            try:
                return await asyncio.to_thread(self._format, kind)
            finally:
                end = time.monotonic()
                self._due = end + PAUSES * (end - begin)

    def _format(self, kind: str) -> str:
        families, values = self._metrics.families, self._totals.read()
        return expose(families, values, kind=kind, now=time.monotonic())


SCRAPER = web.AppKey("scraper", Scraper)


async def scrape(request: web.Request) -> web.Response:
    """Answer a scrape, in the format that it accepts."""
    kind = media_type(request.headers.get("Accept", ""))
    text = await request.app[SCRAPER].text(kind)
    return web.Response(body=text.encode(), headers={"Content-Type": kind})
