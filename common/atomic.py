"""Files and folders that are there whole or not at all.

Content is written to a draft beside its target, `.draft-HOST-PID-RANDOM-NAME`, and renamed when it
is complete. A reader sees the old state or the new one, also when the writer is killed.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".draft-"
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The error numbers of a disk without room, a quota that is used up and a file too large."""
_swept: set[Path] = set()


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o644, durable: bool = False) -> Iterator[Path]:
    """Yield the path of a draft that replaces `path` when the block ends without an error.

    The draft does not exist yet and has the suffix of `path`; missing parent folders are made.
    mode: permissions of the file. durable: on disk before the rename, which costs milliseconds.
    Raises OSError when nothing can be written.
    """
    draft = _draft_beside(path)
    try:
        yield draft
        draft.chmod(mode)
        if durable:
            _flush(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_atomic(
    path: Path, content: bytes | str, *, mode: int = 0o644, durable: bool = False
) -> None:
    """Write a file whole; a str as UTF-8. Until it is complete only its owner can read it."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_file(path, mode=mode, durable=durable) as draft:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` when the block ends without an error.

    replace: whether it takes the place of a folder that exists. Raises FileExistsError when `path`
    exists and must not be replaced, OSError when nothing can be written.
    """
    draft = _draft_beside(path)
    old = draft.with_name(f"{draft.name}.old")
    draft.mkdir(mode=0o755)
    try:
        yield draft
        if replace and path.exists():
            path.rename(old)
        try:
            draft.rename(path)
        except OSError as error:
            if old.exists():
                old.rename(path)
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                raise FileExistsError(errno.EEXIST, "exists already", str(path)) from error
            raise
    finally:
        for left in (draft, old):
            shutil.rmtree(left, ignore_errors=True)


def file_signature(status: os.stat_result) -> tuple[int, int, int]:
    """Return what differs after a file was replaced or written."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def remove_stale_drafts(folder: Path) -> None:
    """Remove the drafts of ended processes of this machine, before the first write to a folder."""
    pattern = re.compile(f"{re.escape(_own_prefix())}(\\d+)-")
    for left in folder.iterdir():
        found = pattern.match(left.name)
        if found and not _is_running(int(found[1])):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _draft_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.absolute()
    if folder not in _swept:
        _swept.add(folder)
        remove_stale_drafts(folder)
    return path.with_name(f"{_own_prefix()}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")


def _own_prefix() -> str:
    return f"{PREFIX}{platform.node()}-"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:  # a system without /proc
        return True
    return state.split()[0] != "Z"  # a zombie has ended and is not reaped yet
