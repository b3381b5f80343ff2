"""The jobs that wait for one model: pure bookkeeping, no clock, no I/O."""

from __future__ import annotations

from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Items of several streams, taken one stream after the other, each stream's in its own order."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[str, Item]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, stream: str, key: str, item: Item) -> None:
        """Put an item last in its stream; a new stream comes last in turn."""
        self._streams.setdefault(stream, {})[key] = item
        self._size += 1

    def discard(self, stream: str, key: str) -> None:
        """Forget an item; one that is not there is no error."""
        items = self._streams.get(stream, {})
        if items.pop(key, None) is not None:
            self._size -= 1
            if not items:
                del self._streams[stream]

    def pop(self) -> Item:
        """Take the next item in turn. Raises KeyError when there is none."""
        stream = next(iter(self._streams), None)
        if stream is None:
            raise KeyError
        items = self._streams.pop(stream)
        item = items.pop(next(iter(items)))
        self._size -= 1
        if items:
            self._streams[stream] = items
        return item


class Backlog(Generic[Item]):
    """Live items before clips, streams in turn, bounded."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._turns: dict[bool, Turns[Item]] = {True: Turns(), False: Turns()}

    def __len__(self) -> int:
        return len(self._turns[True]) + len(self._turns[False])

    def full(self, *, live: bool) -> bool:
        """Tell whether no more items of this kind are taken; clips leave room for live ones."""
        return len(self._turns[live]) >= self._limit

    def add(self, stream: str, key: str, item: Item, *, live: bool) -> None:
        """Put an item in its place."""
        self._turns[live].add(stream, key, item)

    def discard(self, stream: str, key: str, *, live: bool) -> None:
        """Forget an item; one that is not there is no error."""
        self._turns[live].discard(stream, key)

    def take(self, count: int) -> list[Item]:
        """Take up to `count` items, the most urgent first."""
        live, clips = self._turns[True], self._turns[False]
        first = [live.pop() for _ in range(min(count, len(live)))]
        return first + [clips.pop() for _ in range(min(count - len(first), len(clips)))]
