"""Whether a file of a folder is a sound or a picture: by its name, or else by its first bytes."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError
from common.folders import is_special
from features.containers import kinds, mpeg
from features.image_files import image_header

HEAD = 2**14
"""Bytes that are looked at."""
SOUNDS = frozenset((*kinds.SUFFIXES, *kinds.FFMPEG_SUFFIXES))
PICTURES = frozenset(image_header.SUFFIXES)


def is_sound(path: Path) -> bool:
    """Return whether a file is a sound: one with another name, or none, if it begins like one."""
    named = path.suffix.lower() in SOUNDS and not is_special(path)
    return named or begins_as_sound(first_bytes(path))


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture: one with another name, or none, if it begins like one."""
    named = path.suffix.lower() in PICTURES and not is_special(path)
    return named or begins_as_picture(first_bytes(path))


def first_bytes(path: Path) -> bytes:
    """Return what a file begins with; nothing if it cannot be read, or is no file."""
    if is_special(path):
        return b""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def begins_as_picture(head: bytes) -> bool:
    """Return whether bytes are the beginning of a picture of a kind that is read."""
    try:
        kind = image_header.sniff(head)
    except InputError:
        return False
    # Two letters are the beginning of many texts, too.
    return kind != "BMP" or not head.isascii()


def begins_as_sound(head: bytes) -> bool:
    """Return whether bytes are the beginning of a sound that is read here, or by ffmpeg."""
    if begins_as_picture(head):
        return False
    kind = kinds.by_magic(kinds.without_tag(head))
    if kind:
        return kind.reader is not None or bool(kind.demuxer)
    return head[:3] == b"ID3" or mpeg.find(head, end=16) == 0
