"""The records that monitors of other machines send: read, bounded, and written to the archive."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError, InsufficientStorage, Unprocessable
from common.mapping import parse_json, read_json
from service.archive.documents import read_record
from service.archive.paths import check_path, files_of
from service.archive.records import Record
from service.log import log

SENDER = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)
MAX_NUMBER = 2**53 - 1
"""The largest that every reader of JSON has exactly."""
MAX_RECORDS = 500
"""In one batch."""
MAX_BYTES = 2**20
"""Of one batch as JSON."""


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

    def __init__(self, path: str, *, max_bytes: int) -> None:
        """path: of the archive, as of a monitor's sink. max_bytes: of all its databases.

        Raises Unprocessable for a path that cannot be used.
        """
        # Imported here so that a server without an archive never loads SQLite.
        from service.archive.database import Archive

        check_path(path)
        try:
            Path(path).expanduser().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unprocessable(f"the archive {path} cannot be made: {error.strerror}") from error
        self._path, self._max_bytes = path, max_bytes
        self._archive = Archive(path)
        self._writing = asyncio.Lock()

    async def take(self, body: bytes) -> list[Record]:
        """Write a batch and return what of it was not in the archive yet.

        Raises InputError for what is no batch, InsufficientStorage when nothing of it can be kept:
        then it is to be sent again.
        """
        batch, records = await asyncio.to_thread(read_batch, body)
        async with self._writing:
            try:
                if (size := await asyncio.to_thread(self._size)) >= self._max_bytes:
                    raise InsufficientStorage(
                        f"the archive has {size} bytes; at most {self._max_bytes} are kept"
                    )
                return await self._archive.write_batch(
                    records, sender=batch.sender, number=batch.batch
                )
            except OSError as error:
                log("archive not written", why=str(error))
                raise InsufficientStorage("the archive cannot be written now") from error

    async def close(self) -> None:
        """Close the database."""
        async with self._writing:
            await self._archive.close()

    def _size(self) -> int:
        return sum(path.stat().st_size for path in files_of(self._path))


def read_batch(body: bytes) -> tuple[Batch, list[Record]]:
    """Return a batch and its records. Raises InputError, Unprocessable naming what is wrong."""
    document = parse_json(body, error=InputError, where="the body")
    batch = read_json(Batch, document, where="", error=Unprocessable)
    records = [read_record(value, where=f"records[{at}]") for at, value in enumerate(batch.records)]
    return batch, records
