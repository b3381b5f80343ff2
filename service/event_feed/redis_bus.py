"""The events of all gateways as a stream in Redis."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from common.mapping import parse_json
from common.strict_json import to_json
from service.event_feed.feed import KEPT, Deliver, Published
from service.log import log
from service.queue.redis_connection import REDIS_ERRORS, RETRY_S, cancel_all, close, connect
from service.queue.redis_keys import EVENTS

BLOCK_MS = 5_000
READ = 1_000
UNSENT = 1_000
"""Events that wait while Redis is away; past it the oldest are dropped, and followers are told."""


class RedisBus:
    """Adds events to the stream and reads it; what Redis keeps is known after a restart too."""

    def __init__(self, url: str) -> None:
        """Raises Unprocessable on an invalid address."""
        self._redis, self._reader = connect(url), connect(url)
        self._unsent: deque[Published] = deque()
        self._dropped = 0
        self._added = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, deliver: Deliver) -> None:
        """Read and send from now on, whether Redis is there or not yet."""
        self._tasks = [asyncio.create_task(self._read(deliver)), asyncio.create_task(self._send())]

    def send(self, event: Published) -> None:
        """Send an event when Redis is there."""
        if len(self._unsent) >= UNSENT:
            self._unsent.popleft()
            self._dropped += 1
        self._unsent.append(event)
        self._added.set()

    async def _send(self) -> None:
        while True:
            await self._added.wait()
            self._added.clear()
            while self._unsent:
                if self._dropped:
                    await self._add({"missed": str(self._dropped)})
                    self._dropped = 0
                event = self._unsent.popleft()
                await self._add({"event": to_json(event.data), "kind": event.kind})

    async def _add(self, fields: dict[str, str]) -> None:
        while True:
            try:
                await self._redis.xadd(EVENTS, fields, maxlen=KEPT, approximate=True)
            except REDIS_ERRORS:  # the queue's health check logs that it is away
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _read(self, deliver: Deliver) -> None:
        last: bytes | str = "0-0"
        while True:
            try:
                found = await self._reader.xread({EVENTS: last}, count=READ, block=BLOCK_MS)
            except REDIS_ERRORS:
                await asyncio.sleep(RETRY_S)
                continue
            for number, fields in found[0][1] if found else ():
                last = number
                with suppress(ValueError, KeyError, TypeError):
                    deliver(_published(number.decode(), fields))

    async def close(self) -> None:
        """End; what was not sent is logged."""
        await cancel_all(self._tasks)
        if self._unsent:
            log("events not published", count=len(self._unsent))
        await close(self._redis)
        await close(self._reader)


def _published(number: str, fields: dict[bytes, bytes]) -> Published:
    """Read an entry. Raises ValueError, KeyError or TypeError for one that is not ours."""
    if b"missed" in fields:
        return Published("", {"count": int(fields[b"missed"])})
    data: Any = parse_json(fields[b"event"], error=ValueError)
    _ = data["source"], data["label"]
    # Earlier gateways send no kind.
    return Published(number, data, fields.get(b"kind", b"event").decode())
