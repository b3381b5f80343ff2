"""Receives the replies to one gateway's jobs from its stream in Redis."""

from __future__ import annotations

import asyncio
from typing import Any

from service.queue.base import Reply
from service.queue.codec import decode_replies
from service.queue.pending import PendingReplies
from service.queue.redis_connection import RETRY_S
from service.queue.redis_keys import REPLIES
from service.queue.redis_values import read_items, remove_wrong_types, report_removed

BLOCK_MS = 2_000
MAX_READ = 1_000
"""Entries read at one time."""


class ReplyReceiver:
    """Resolves pending jobs. Replies stay in Redis until read, so a lost connection loses none."""

    def __init__(self, redis: Any, pending: PendingReplies, *, name: str) -> None:
        """name: of this gateway."""
        self._redis = redis
        self._pending = pending
        self.key = REPLIES + name
        self._read: list[bytes] = []  # entries to delete with the next round trip

    async def step(self) -> None:
        """Wait for replies and deliver them."""
        async with self._redis.pipeline(transaction=False) as pipe:
            if self._read:
                pipe.xdel(self.key, *self._read)
            pipe.xread({self.key: "0-0"}, block=BLOCK_MS, count=MAX_READ)
            *deleted, streams = await pipe.execute(raise_on_error=False)
        if isinstance(streams, Exception):
            if not report_removed(await remove_wrong_types(self._redis, [self.key])):
                raise streams
            self._read = []
            return
        entries = streams[0][1] if streams else []
        delete_failed = any(isinstance(result, Exception) for result in deleted)
        if entries or not delete_failed:
            self._read = [entry for entry, _ in entries]
        for replies in read_items(REPLIES, entries, _replies_of):
            for reply in replies:
                self._pending.resolve(reply)
        # Resolved jobs run first, which costs a tenth of a round trip. Entries that could not be
        # deleted would be read again without a pause.
        await asyncio.sleep(RETRY_S if entries and delete_failed else 0)


def _replies_of(entry: tuple[bytes, dict[bytes, bytes]]) -> list[Reply]:
    return decode_replies(entry[1].get(b"answers", b""))
