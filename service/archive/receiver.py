"""The records that monitors of other machines send: read, bounded, and written to the archive."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from common.budget import Budget
from common.errors import InputError, InsufficientStorage, Unprocessable
from common.mapping import parse_json, read_json
from service.archive.documents import read_record
from service.archive.paths import check_path, file_of, size_of
from service.archive.records import Record
from service.log import FailureLog

SENDER = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)
MAX_NUMBER = 2**53 - 1
"""The largest that every reader of JSON has exactly."""
MAX_RECORDS = 500
"""In one batch."""
MAX_BYTES = 2**20
"""Of one batch as JSON."""
MAX_PENDING = 64 * 2**20
"""Bytes of batches that are written or wait for that."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Records of one monitor, in their order."""

    sender: str
    """A random name, 8 to 64 of letters, digits and `-`: one from the start of a monitor on."""
    batch: int
    """Counts upwards from 1; a batch that is sent again has the same number and records."""
    records: list[Any]
    """1 to 500, as `timbre monitor` writes them to JSON lines."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for a value outside its limits."""
        if not SENDER.fullmatch(self.sender):
            raise Unprocessable(
                f"sender={self.sender!r:.80} must be 8 to 64 of letters, digits and '-'"
            )
        if not 1 <= self.batch <= MAX_NUMBER:
            raise Unprocessable(f"batch={self.batch:.20g} must be between 1 and {MAX_NUMBER}")
        if not 1 <= len(self.records) <= MAX_RECORDS:
            raise Unprocessable(
                f"records has {len(self.records)} entries; it must have 1 to {MAX_RECORDS}"
            )


class RecordReceiver:
    """Writes batches to the archive, one at a time; other gateways may write to it too."""

    def __init__(
        self, path: str, *, max_bytes: int, stored: Callable[[Record], None] = lambda _: None
    ) -> None:
        """path: of the archive, as of a monitor's sink. max_bytes: of all its databases.

        stored: called in the event loop with each record that is new in the archive. Raises
        Unprocessable for a path that cannot be used.
        """
        # Imported here so that a server without an archive never loads SQLite.
        from service.archive.database import Archive

        check_path(path)
        try:
            now_ms = time.time_ns() // 10**6
            file_of(path, source="all", at_ms=now_ms).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unprocessable(f"the archive {path} cannot be made: {error.strerror}") from error
        self._path, self._max_bytes, self._stored = path, max_bytes, stored
        self._archive = Archive(path)
        self._writing = asyncio.Lock()
        self._pending = Budget(MAX_PENDING, "bytes of records wait for the archive")
        self._tasks: set[asyncio.Task[int]] = set()
        self._failure = FailureLog("archive not written", "archive written again")

    async def store(self, body: bytes) -> int:
        """Write a batch; return how many of its records were not in the archive yet.

        It is written and told to `stored` to its end though who waits is cancelled. Raises
        InputError for what is no batch, Busy past MAX_PENDING, InsufficientStorage when not all of
        it can be kept: then it is to be sent again.
        """
        reservation = self._pending.hold(len(body))
        with ExitStack() as stack:
            stack.enter_context(reservation)
            batch, records = await asyncio.to_thread(read_batch, body)
            task = asyncio.create_task(self._store(batch, records))
            task.add_done_callback(partial(self._end, stack.pop_all()))
        self._tasks.add(task)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Write what was begun and close the database."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._writing:
            await self._archive.close()

    def _end(self, stack: ExitStack, task: asyncio.Task[int]) -> None:
        stack.close()
        self._tasks.discard(task)
        if not task.cancelled():
            # Who waited may have left: then nobody else asks for it.
            task.exception()

    async def _store(self, batch: Batch, records: list[Record]) -> int:
        count = 0
        async with self._writing:
            for part in self._archive.by_database(records):
                if await self._write(batch, part):
                    count += len(part)
                    for record in part:
                        self._stored(record)
        return count

    async def _write(self, batch: Batch, part: list[Record]) -> bool:
        try:
            new = await self._archive.write_batch(
                part, sender=batch.sender, number=batch.batch, check=self._check_size
            )
        except OSError as error:
            self._failure.failed(str(error))
            raise InsufficientStorage("the archive cannot be written now") from error
        self._failure.worked()
        return new

    def _check_size(self) -> None:
        if (size := size_of(self._path)) >= self._max_bytes:
            raise InsufficientStorage(
                f"the archive has {size} bytes; at most {self._max_bytes} are kept"
            )


def read_batch(body: bytes) -> tuple[Batch, list[Record]]:
    """Return a batch and its records. Raises InputError and its kinds naming what is wrong."""
    document = parse_json(body, error=InputError, where="the body")
    batch = read_json(Batch, document, where="", error=Unprocessable)
    records = [read_record(value, where=f"records[{at}]") for at, value in enumerate(batch.records)]
    return batch, records
