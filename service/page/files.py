"""The files of the page, as they are sent: compressed, below a path that names their contents."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).with_name("static")
DOCUMENT = "index.html"
VERSION = b"{{version}}"
"""In the document: stands for the version of the files."""
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".ogg": "audio/ogg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
TEXT = (".css", ".html", ".js", ".json", ".svg")
"""Compressed; the others are already."""


@dataclass(frozen=True)
class PageFile:
    """One file of the page."""

    body: bytes
    packed: bytes | None
    """The same by gzip; None where that is not smaller."""
    type: str


@dataclass(frozen=True)
class PageFiles:
    """All files of the page."""

    version: str
    """Hash of all names and contents: other files have other URLs."""
    document: PageFile
    files: dict[str, PageFile]
    """By name, without the document."""


@cache
def page_files() -> PageFiles:
    """Return the files of the page, read at the first call."""
    contents = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir())}
    digest = hashlib.sha256()
    for name, body in contents.items():
        digest.update(f"{name} {len(body)} ".encode() + body)
    version = digest.hexdigest()[:16]
    document = contents.pop(DOCUMENT).replace(VERSION, version.encode())
    return PageFiles(
        version=version,
        document=page_file(DOCUMENT, document),
        files={name: page_file(name, body) for name, body in contents.items()},
    )


def page_file(name: str, body: bytes) -> PageFile:
    """Return a file as it is sent. name: its suffix tells the type."""
    suffix = Path(name).suffix
    # mtime: the same bytes from every gateway.
    packed = gzip.compress(body, mtime=0) if suffix in TEXT else body
    return PageFile(body, packed if len(packed) < len(body) else None, TYPES[suffix])
