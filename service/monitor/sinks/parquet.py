"""A sink that is Parquet files: each is whole, and grows by being replaced."""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.atomic import atomic_file
from common.errors import InputError, Unprocessable
from service.archive.paths import file_of
from service.archive.records import EventRecord, Record, time_of
from service.monitor.sinks.base import SinkError
from service.monitor.sinks.text_files import FileSettings

COLUMNS = {
    "event": "id source label start end peak mean not_heard model version",
    "coverage": "source minute heard_ms silent_ms clipped_ms not_connected_ms dropped_ms",
    "problem": "source at problem detail",
}
"""By type of record; as in the archive in SQLite."""
LEAST_BYTES = 10_000


@dataclass(frozen=True, kw_only=True)
class ParquetSettings(FileSettings):
    """The settings of a sink of Parquet files; PATH-event-000001.parquet is one of them."""

    max_bytes: int = 4 * 2**20
    """Size from which on the next file is begun, 10,000 or more."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for a value outside its limits."""
        super().__post_init__()
        if self.max_bytes < LEAST_BYTES:
            raise Unprocessable(f"max_bytes={self.max_bytes} must be {LEAST_BYTES} or more")


class ParquetFiles:
    """Adds the records of a batch to the last file of their kind, which is replaced as a whole."""

    def __init__(self, settings: ParquetSettings) -> None:
        """Raises InputError without the package pyarrow."""
        self._path, self._max_bytes = settings.path.removesuffix(".parquet"), settings.max_bytes
        self._arrow, self._parquet = _load()
        self._schemas = {name: _schema(self._arrow, each) for name, each in COLUMNS.items()}

    async def write(self, records: Sequence[Record]) -> int:
        """Write all records. Raises SinkError, OSError; then every file is as it was."""
        try:
            await asyncio.to_thread(self._write, records)
        except self._arrow.ArrowException as error:
            raise SinkError(f"{self._path}: {error}") from error
        return len(records)

    async def close(self) -> None:
        """Nothing is open between two batches."""

    def _write(self, records: Sequence[Record]) -> None:
        parts: dict[tuple[Path, str], list[dict[str, Any]]] = {}
        for record in records:
            if not (isinstance(record, EventRecord) and record.end_ms is None):
                path = file_of(self._path, source=record.source, at_ms=time_of(record))
                parts.setdefault((path, record.type), []).append(_row(record))
        with ExitStack() as drafts:
            for (path, name), rows in parts.items():
                file, tables = self._last(path, name)
                tables.append(self._arrow.Table.from_pylist(rows, schema=self._schemas[name]))
                draft = drafts.enter_context(atomic_file(file, durable=True))
                whole = self._arrow.concat_tables(tables).combine_chunks()
                self._parquet.write_table(whole, draft, compression="zstd")

    def _last(self, path: Path, name: str) -> tuple[Path, list[Any]]:
        """Return the file to write, and what is in it."""
        digits = "[0-9]" * 6
        files = sorted(path.parent.glob(f"{glob.escape(path.name)}-{name}-{digits}.parquet"))
        if files and files[-1].stat().st_size < self._max_bytes:
            # One that is damaged, or has other columns, is left as it is.
            with suppress(self._arrow.ArrowException):
                with self._parquet.ParquetFile(files[-1]) as file:
                    table = file.read(use_threads=False)
                return files[-1], [table.cast(self._schemas[name])]
        number = int(files[-1].stem[-6:]) + 1 if files else 1
        return path.with_name(f"{path.name}-{name}-{number:06}.parquet"), []


def _row(record: Record) -> dict[str, Any]:
    """Return a record by column."""
    row = asdict(record)
    for name in ("start_ms", "end_ms", "minute_ms", "at_ms", "not_heard_s"):
        if name in row:
            row[name.rpartition("_")[0]] = row.pop(name)
    row["dropped_ms"] = list(row.get("dropped_ms", {}).items())
    return row


def _schema(arrow: Any, names: str) -> Any:
    special = {
        **dict.fromkeys(("start", "end", "minute", "at"), arrow.timestamp("ms", tz="UTC")),
        **dict.fromkeys(("peak", "mean", "not_heard"), arrow.float64()),
        "dropped_ms": arrow.map_(arrow.string(), arrow.int32()),
    }
    usual = {True: arrow.int32(), False: arrow.string()}
    return arrow.schema(
        [(name, special.get(name, usual[name.endswith("_ms")])) for name in names.split()]
    )


def _load() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            "Parquet files need the package pyarrow: pip install 'timbre[parquet]'"
        ) from error
    # That of Arrow keeps some 20 MB more in three days.
    pa.set_memory_pool(pa.system_memory_pool())
    return pa, parquet
