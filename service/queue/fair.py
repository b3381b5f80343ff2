"""The jobs that wait for one model: pure bookkeeping, no clock, no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")

STALE = 0.25
"""Share of its time after which a job that waits is overtaken by newer ones of its stream: late
answers help nobody."""


class _Place(NamedTuple, Generic[Item]):
    item: Item
    size: int
    stale: float


class RoundRobin(Generic[Item]):
    """Items of several streams, taken one stream after the other, each stream's in its own order."""

    def __init__(self) -> None:
        self.size = 0
        """Of all items together."""
        self._streams: dict[str, dict[str, _Place[Item]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(
        self, stream: str, key: str, item: Item, *, size: int = 0, stale: float = math.inf
    ) -> None:
        """Put an item last in its stream; a new stream comes last in turn. stale: when it has waited for too long."""
        self._streams.setdefault(stream, {})[key] = _Place(item, size, stale)
        self._count += 1
        self.size += size

    def discard(self, stream: str, key: str) -> None:
        """Forget an item; one that is not there is no error."""
        if key in self._streams.get(stream, ()):
            self._remove(stream, key)

    def push_out(self, stream: str) -> Item | None:
        """Take the oldest item of a stream out of turn, None if it has none."""
        oldest = next(iter(self._streams.get(stream, ())), None)
        return None if oldest is None else self._remove(stream, oldest)

    def pop(self, *, now: float = 0.0) -> tuple[Item, list[Item]]:
        """Take the next item in turn, and those of its stream that are overtaken. Raises KeyError when there is none.

        A stream's oldest item goes first, unless it is stale: then the newest does, and the others
        have had their time.
        """
        stream = next(iter(self._streams), None)
        if stream is None:
            raise KeyError
        keys = list(self._streams[stream])
        crowded = self._streams[stream][keys[0]].stale <= now
        overtaken = [self._remove(stream, key) for key in keys[:-1]] if crowded else []
        item = self._remove(stream, keys[-1] if crowded else keys[0])
        if stream in self._streams:
            self._streams[stream] = self._streams.pop(stream)
        return item, overtaken

    def _remove(self, stream: str, key: str) -> Item:
        items = self._streams[stream]
        place = items.pop(key)
        if not items:
            del self._streams[stream]
        self._count -= 1
        self.size -= place.size
        return place.item


class FairQueue(Generic[Item]):
    """Live items before clips, streams in turn, bounded in number and in size."""

    def __init__(self, *, limit: int, max_size: int) -> None:
        """limit, max_size: of live items, and again of clips."""
        self._limit = limit
        self._max_size = max_size
        self._turns: dict[bool, RoundRobin[Item]] = {True: RoundRobin(), False: RoundRobin()}

    def __len__(self) -> int:
        return len(self._turns[True]) + len(self._turns[False])

    def full(self, *, live: bool, size: int) -> bool:
        """Tell whether an item of this kind and size is one too many; clips leave room for live ones."""
        turns = self._turns[live]
        return len(turns) >= self._limit or turns.size + size > self._max_size

    def add(
        self, stream: str, key: str, item: Item, *, live: bool, size: int, stale: float
    ) -> None:
        """Put an item in its place. A clip is never overtaken: it is answered as a whole, or not at all."""
        self._turns[live].add(stream, key, item, size=size, stale=stale if live else math.inf)

    def discard(self, stream: str, key: str, *, live: bool) -> None:
        """Forget an item; one that is not there is no error."""
        self._turns[live].discard(stream, key)

    def push_out(self, stream: str) -> Item | None:
        """Take the oldest live item of a stream out of turn, None if it has none."""
        return self._turns[True].push_out(stream)

    def take(self, count: int, *, now: float) -> tuple[list[Item], list[Item]]:
        """Take up to `count` items, the most urgent first, and those that these overtook."""
        taken, overtaken = [], []
        for item, others in self._pop(count, now):
            taken.append(item)
            overtaken += others
        return taken, overtaken

    def _pop(self, count: int, now: float) -> Iterator[tuple[Item, list[Item]]]:
        for turns in (self._turns[True], self._turns[False]):
            while count and len(turns):
                yield turns.pop(now=now)
                count -= 1
