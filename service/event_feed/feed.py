"""The events that streams publish, kept for a while, and those who follow them.

Several gateways have the same events by a bus; without one, a gateway has its own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from common.errors import Busy, Leaving
from common.strict_json import to_json
from service.protocol import LabelEvent

KEPT = 10_000
"""Events that a follower can still ask for."""
WAITING = 1_000
"""Events that wait for one follower; one that reads slower misses the oldest, and is told."""
PAUSE_S = 15.0
"""Seconds after which something is sent, so that proxies and clients see that it lives."""
FOLLOWERS = 200
"""Of one gateway."""


class Published(NamedTuple):
    """An event as it is sent to followers; or, without an id, how many are missing."""

    id: str
    """Begins with milliseconds of the wall clock, 13 digits."""
    data: dict[str, Any]
    kind: str = "event"
    """`record`: of another machine."""

    @property
    def text(self) -> str:
        """As a server-sent event."""
        head = f"id: {self.id}\nevent: {self.kind}\n" if self.id else "event: missed\n"
        return f"{head}data: {to_json(self.data)}\n\n"


Deliver = Callable[[Published], None]


class Bus(Protocol):
    """Carries the events of every gateway to all of them."""

    async def open(self, deliver: Deliver) -> None:
        """Deliver what comes from now on, that of this gateway too; and what is known already."""

    def send(self, event: Published) -> None:
        """Send an event. Never waits; what cannot be sent is told to followers as missing."""

    async def close(self) -> None:
        """Send and deliver nothing more."""


def open_bus(redis: str) -> Bus | None:
    """Return the bus through Redis, if there is an address. Raises Unprocessable on an invalid."""
    if not redis:
        return None
    # Imported here so that a server without Redis never loads it.
    from service.event_feed.redis_bus import RedisBus

    return RedisBus(redis)


class EventFeed:
    """Takes the events of this gateway's streams; gives those of all gateways to followers."""

    def __init__(self, *, origin: str, bus: Bus | None = None) -> None:
        """origin: distinguishes this process from all others."""
        self._origin, self._bus = origin, bus
        self._numbers = itertools.count()
        self._kept: deque[Published] = deque(maxlen=KEPT)
        self._followers: set[Follower] = set()
        self._closed = False

    async def open(self) -> None:
        """Take the events of other gateways. Raises OSError when that is impossible."""
        if self._bus:
            await self._bus.open(self.deliver)

    async def close(self) -> None:
        """End all followers."""
        self._closed = True
        for follower in tuple(self._followers):
            follower.end()
        if self._bus:
            await self._bus.close()

    def publish(self, event: LabelEvent, *, model: str) -> None:
        """Give an event to the followers of all gateways; once closed, to nobody."""
        values = {key: value for key, value in vars(event).items() if key != "id"}
        self.forward({"id": event.id, "model": model, **values})

    def forward(self, event: dict[str, Any], *, kind: str = "event") -> None:
        """Give them an event as JSON, with its `source` and `label`; kind: as of Published."""
        if self._closed:
            return
        number = f"{time.time_ns() // 10**6:013d}-{self._origin}-{next(self._numbers)}"
        published = Published(number, event, kind)
        if self._bus:
            self._bus.send(published)
        else:
            self.deliver(published)

    def deliver(self, event: Published) -> None:
        """Give an event to the followers of this gateway."""
        if event.id:
            self._kept.append(event)
        for follower in self._followers:
            follower.put(event)

    @contextmanager
    def follow(self, *, after: str = "", source: str = "", label: str = "") -> Iterator[Follower]:
        """Follow the events, those kept that came after an id first. Raises Busy, Leaving.

        source, label: only these; empty: all.
        """
        if self._closed:
            raise Leaving("the server is shutting down")
        if len(self._followers) >= FOLLOWERS:
            raise Busy(f"{FOLLOWERS} clients follow the events of this server already")
        follower = Follower(source=source, label=label)
        for event in self._since(after) if after else ():
            follower.put(event)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def _since(self, after: str) -> Iterator[Published]:
        found = next((at for at, event in enumerate(self._kept) if event.id == after), None)
        if found is not None:
            yield from itertools.islice(self._kept, found + 1, None)
            return
        yield Published("", {"after": after})
        yield from (event for event in self._kept if event.id[:13] >= after[:13])


class Follower:
    """What waits for one client."""

    def __init__(self, *, source: str, label: str) -> None:
        self._source, self._label = source, label
        self._waiting: deque[Published] = deque()
        self._missed = 0
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, event: Published) -> None:
        """Add an event if it is asked for."""
        data = event.data
        if event.id and (
            self._source not in ("", data["source"]) or self._label not in ("", data["label"])
        ):
            return
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(event)
        self._changed.set()

    def end(self) -> None:
        """Let the iteration end behind what waits."""
        self._ended = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[Published | None]:
        """Yield events; None every 15 s without one."""
        while True:
            if self._missed:
                missed, self._missed = self._missed, 0
                yield Published("", {"count": missed})
            while self._waiting:
                yield self._waiting.popleft()
            if self._ended:
                return
            self._changed.clear()
            if not await _set_within(self._changed, PAUSE_S):
                yield None


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
