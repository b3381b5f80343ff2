"""Round-robin between streams, newest first when stale, bounded: pure, no clock, no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")

STALE = 0.25
"""Share of its time to the deadline after which a pending job is stale.

Newer jobs of its stream then overtake it: its own result would soon have expired.
"""


class _Entry(NamedTuple, Generic[Item]):
    item: Item
    size: int
    stale: float


class RoundRobin(Generic[Item]):
    """Items of several streams, popped one stream after the other, in order within a stream."""

    def __init__(self) -> None:
        self.size = 0
        """Of all items together."""
        self._streams: dict[str, dict[str, _Entry[Item]]] = {}
        self._in_order: dict[tuple[str, str], Item] = {}
        """Of all streams, as they were added."""

    def __len__(self) -> int:
        return len(self._in_order)

    @property
    def oldest(self) -> Item | None:
        """The item that was added first; None: there is none."""
        return next(iter(self._in_order.values()), None)

    def add(
        self, stream: str, key: str, item: Item, *, size: int = 0, stale: float = math.inf
    ) -> None:
        """Append an item to its stream; a new stream comes last. stale: time when it is stale."""
        self._streams.setdefault(stream, {})[key] = _Entry(item, size, stale)
        self._in_order[stream, key] = item
        self.size += size

    def discard(self, stream: str, key: str) -> None:
        """Remove an item, if it is there."""
        if key in self._streams.get(stream, ()):
            self._remove(stream, key)

    def pop_oldest(self, stream: str) -> Item | None:
        """Pop the oldest item of a stream out of turn, None if it has none."""
        oldest = next(iter(self._streams.get(stream, ())), None)
        return None if oldest is None else self._remove(stream, oldest)

    def pop(self, *, now: float = 0.0) -> tuple[Item, list[Item]]:
        """Return the next item and those of its stream that it overtakes. Raises KeyError if empty.

        A stream's oldest item comes first, unless it is stale: then the newest does, and the
        others are removed.
        """
        stream = next(iter(self._streams), None)
        if stream is None:
            raise KeyError
        keys = list(self._streams[stream])
        stale = self._streams[stream][keys[0]].stale <= now
        overtaken = [self._remove(stream, key) for key in keys[:-1]] if stale else []
        item = self._remove(stream, keys[-1] if stale else keys[0])
        if stream in self._streams:
            self._streams[stream] = self._streams.pop(stream)
        return item, overtaken

    def _remove(self, stream: str, key: str) -> Item:
        items = self._streams[stream]
        entry = items.pop(key)
        if not items:
            del self._streams[stream]
        del self._in_order[stream, key]
        self.size -= entry.size
        return entry.item


class FairQueue(Generic[Item]):
    """Live items before clips, round-robin between streams, bounded in number and in size."""

    def __init__(self, *, limit: int, max_size: int) -> None:
        """limit, max_size: of live items, and again of clips."""
        self._limit = limit
        self._max_size = max_size
        self._queues: dict[bool, RoundRobin[Item]] = {True: RoundRobin(), False: RoundRobin()}

    def __len__(self) -> int:
        return len(self._queues[True]) + len(self._queues[False])

    @property
    def live(self) -> int:
        """Live items."""
        return len(self._queues[True])

    @property
    def oldest_clip(self) -> Item | None:
        """The clip that was added first; None: there is none."""
        return self._queues[False].oldest

    def full(self, *, live: bool, size: int) -> bool:
        """Return whether an item does not fit; live items and clips have separate bounds."""
        queue = self._queues[live]
        return len(queue) >= self._limit or queue.size + size > self._max_size

    def add(
        self, stream: str, key: str, item: Item, *, live: bool, size: int, stale: float
    ) -> None:
        """Append an item. A clip is never stale: it is answered as a whole or not at all."""
        self._queues[live].add(stream, key, item, size=size, stale=stale if live else math.inf)

    def discard(self, stream: str, key: str, *, live: bool) -> None:
        """Remove an item, if it is there."""
        self._queues[live].discard(stream, key)

    def pop_oldest(self, stream: str) -> Item | None:
        """Pop the oldest live item of a stream out of turn, None if it has none."""
        return self._queues[True].pop_oldest(stream)

    def pop(self, count: int, *, now: float) -> tuple[list[Item], list[Item]]:
        """Return up to `count` items, the most urgent first, and those that they overtook."""
        items, overtaken = [], []
        for item, others in self._pop_each(count, now):
            items.append(item)
            overtaken += others
        return items, overtaken

    def _pop_each(self, count: int, now: float) -> Iterator[tuple[Item, list[Item]]]:
        for queue in (self._queues[True], self._queues[False]):
            while count and len(queue):
                yield queue.pop(now=now)
                count -= 1
