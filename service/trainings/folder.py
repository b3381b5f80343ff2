"""The folder of trainings and labelled clips: its parts, its lock, its small JSON files.

DIR/lock                                       held while anything is decided
DIR/collections/COLLECTION/SOURCE/LABEL/       labelled clips
DIR/cache/                                     what trainings compute once
DIR/ID/                                        one training
"""

from __future__ import annotations

import errno
import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.atomic import DISK_FULL, write_atomic
from common.errors import Busy, InsufficientStorage, TimbreError, Unprocessable
from common.mapping import parse_json
from common.strict_json import to_json

COLLECTIONS, CACHE, LOCK = "collections", "cache", "lock"
LOCK_S, LOOK_S = 10.0, 0.01
"""Seconds for which the lock is waited for, and between two looks."""


def open_folder(text: str) -> Path:
    """Return the folder of the setting `trainings`, made if it is not there.

    Raises Unprocessable when nothing can be written to it.
    """
    folder = Path(text).expanduser().absolute()
    try:
        (folder / COLLECTIONS).mkdir(parents=True, exist_ok=True)
        with locked(folder):
            pass
    except OSError as error:
        raise Unprocessable(f"trainings={text!r} cannot be used: {error.strerror}") from error
    return folder.resolve()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which all processes on it share.

    Raises OSError; Busy when it is not free within LOCK_S.
    """
    give_up = time.monotonic() + LOCK_S
    with (folder / LOCK).open("ab") as file:
        while True:
            try:
                # The kernel releases it whatever becomes of the process.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # A process that was stopped holds it for as long as it likes.
                if time.monotonic() >= give_up:
                    raise Busy(
                        f"another process has held the folder of trainings for {LOCK_S:g} s"
                    ) from None
                time.sleep(LOOK_S)
        yield


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn an OSError of the block into InsufficientStorage or TimbreError. what: for its words."""
    try:
        yield
    except OSError as error:
        kind = InsufficientStorage if error.errno in DISK_FULL else TimbreError
        raise kind(f"{what} cannot be stored: {error.strerror}") from error


def new_id() -> str:
    """Return a name that sorts by time and that no other has: 20261130-120000-123-0a1b2c3d."""
    now = time.time()
    clock = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{clock}-{int(now % 1 * 1000):03d}-{secrets.token_hex(4)}"


def now() -> str:
    """Return the time, RFC 3339 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_json(path: Path, value: Any) -> None:
    """Write a file whole and durable. Raises OSError."""
    write_atomic(path, to_json(value), durable=True)


def read_object(path: Path) -> dict[str, Any] | None:
    """Return a JSON object; None where there is none. Raises TimbreError for anything else."""
    try:
        text = path.read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise TimbreError(f"{path.name} cannot be read: {error.strerror}") from error
    value = parse_json(text, error=TimbreError, where=path.name)
    if not isinstance(value, dict):
        raise TimbreError(f"{path.name} is not an object")
    return value
