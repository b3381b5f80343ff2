"""Folders of pictures that were zipped: each zip is extracted once, to the cache."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from common.atomic import DISK_FULL
from features.file_kinds import PICTURES
from training.common.disk import cache_folder, size_text
from training.common.errors import MaterialError
from training.common.paths import cache_root
from training.pictures.dataset.folders import picture_files

if TYPE_CHECKING:
    from training.common.progress import Stage

MAX_BYTES, MAX_FILES = 100_000_000_000, 5_000_000
"""Limits of the content of a zip."""
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)
"""What reading a zip may raise: damaged, encrypted, or packed by a method that is not known."""


def folder_of(path: Path, stage: Stage, *, cache: str = "", levels: int = 1) -> Path:
    """Return a folder of pictures: the path itself, or what a zip there was extracted to.

    cache: the recipe's setting. levels: of folders above a picture. Raises MaterialError for what
    is no zip, and for one without pictures at that depth.
    """
    if not path.is_file():
        return path
    with stage(f"unzip {path.name}"):
        return unzip(path.resolve(), pictures_cache(cache), levels=levels)


def pictures_cache(setting: str = "") -> Path:
    """Return the folder of packs, checkpoints and extracted zips. setting: the recipe's `cache`."""
    return cache_root(setting) / "pictures"


def holds_pictures(archive: Path) -> bool:
    """Return whether a file is a zip of pictures, by the names in it."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return any(PurePosixPath(name).suffix.lower() in PICTURES for name in opened.namelist())
    except _DAMAGED:
        return False


def unzip(archive: Path, cache: Path, *, levels: int = 1) -> Path:
    """Return the folder that a zip was extracted to, once. Raises as `folder_of`, or when unsafe.

    levels: of folders above a picture; outer folders that hold everything are skipped.
    """
    state = archive.stat()
    key = hashlib.sha256(f"{archive} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:12]
    target = cache / f"{archive.stem}-{key}"
    if not target.is_dir():
        with cache_folder(target) as draft:
            try:
                _extract(archive, draft)
            except _DAMAGED as error:
                if isinstance(error, OSError) and error.errno in DISK_FULL:
                    raise
                why = error.strerror if isinstance(error, OSError) and error.strerror else error
                raise MaterialError(f"{archive} cannot be read as a zip: {why}") from error
    depths = [path.count("/") for path in picture_files(target)]
    if max(depths, default=-1) < levels:
        raise MaterialError(f"no pictures in {archive}: expected {'FOLDER/' * levels}NAME")
    for _ in range(min(depths) - levels):
        inside = [
            entry
            for entry in target.iterdir()
            if entry.is_dir() and not entry.name.startswith(("__", "."))
        ]
        target = inside[0] if len(inside) == 1 else target
    return target


def _extract(archive: Path, draft: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        total = sum(entry.file_size for entry in entries)
        held = f"{archive} holds {len(entries):,} files of {size_text(total)}"
        if total > MAX_BYTES or len(entries) > MAX_FILES:
            raise MaterialError(f"{held}: at most {MAX_FILES:,} of {size_text(MAX_BYTES)}")
        if total > (free := shutil.disk_usage(draft).free):
            raise MaterialError(
                f"{held}, and {draft.parent} has {size_text(free)} free: make room, or extract it "
                "elsewhere and name the folder"
            )
        there: dict[str, int] = {}
        for entry in entries:
            # Some programs of Windows write backslashes.
            entry.filename = entry.filename.replace("\\", "/")
            parts = PurePosixPath(entry.filename).parts
            if ".." in parts or entry.filename.startswith("/") or ":" in "".join(parts[:1]):
                raise MaterialError(f"{archive} holds {entry.filename!r}, a path outside of it")
            if there.setdefault("/".join(parts), entry.CRC) != entry.CRC:
                raise MaterialError(f"{archive} holds {entry.filename!r} twice, with other content")
            opened.extract(entry, draft)
