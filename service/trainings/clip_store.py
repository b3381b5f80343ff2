"""Labelled clips and pictures: COLLECTION/SOURCE/LABEL/ID.suffix with a note ID.json beside each.

The layout is one that the recipes train on as it is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common.atomic import write_atomic
from common.errors import InsufficientStorage, NotAllowed, NotFound, Unprocessable
from common.folders import NOTE, is_hidden
from common.names import alike, check_name, difference, part_named, tidy
from common.strict_json import to_json
from service.protocol import check_source
from service.trainings.folder import COLLECTIONS, locked, new_id, now, storing
from service.trainings.record import ID

MAX_LABEL = 200
"""Bytes of a label: file systems take 255."""
NEWEST = 200
"""Clips of a label that are listed, the newest ones."""


class Stored(NamedTuple):
    """A file that is there."""

    collection: str
    source: str
    label: str
    id: str
    path: str
    size: int
    """Bytes, with its note."""


@dataclass(frozen=True)
class Place:
    """Where a clip belongs; its names are checked."""

    collection: str
    label: str
    source: str


def place_of(collection: str, label: str, source: str) -> Place:
    """Return a place by its names, the label in its one form. Raises Unprocessable."""
    for what, name in (("collection", collection), ("source", source)):
        check_source(what, name)
        _check_usable(what, name)
    if reason := check_name(label):
        raise Unprocessable(f"label={label!a:.80}: {reason}")
    tidied = tidy(label)
    if not tidied or len(tidied.encode()) > MAX_LABEL:
        raise Unprocessable(f"label={label!r:.80} must have 1 to {MAX_LABEL} bytes")
    if "/" in tidied or "\\" in tidied or not tidied.isprintable():
        raise Unprocessable(f"label={label!r:.80} must have no slash and be printable")
    _check_usable("label", tidied)
    return Place(collection, tidied, source)


def _check_usable(what: str, name: str) -> None:
    if is_hidden(name):
        raise Unprocessable(
            f"{what}={name!r:.80} would be skipped: it begins with a dot, or systems use the name"
        )
    if part := part_named(name):
        raise Unprocessable(
            f"{what}={name!r:.80} is the name of a part of a split ({part}): take another, such"
            f" as {f'{name}-clips'!r:.80}"
        )


class ClipStore:
    """The collections below one folder. Thread-safe, and safe for several processes."""

    def __init__(self, folder: Path, *, max_clips: int, max_bytes: int) -> None:
        """folder: that of the trainings, as `open_folder` returns it."""
        self._folder, self._root = folder, folder / COLLECTIONS
        self._max_clips, self._max_bytes = max_clips, max_bytes

    def add(self, place: Place, data: bytes, *, suffix: str, note: dict[str, Any]) -> str:
        """Store a file, whole or not at all; return its id.

        Raises Unprocessable for a name that looks like another, InsufficientStorage past a bound or
        on a full disk.
        """
        id_, time = new_id(), now()
        folder = self._root / place.collection / place.source / place.label
        of_place = {"label": place.label, "source": place.source, "time": time}
        text = to_json({"id": id_, **of_place, **note}, ensure_ascii=False)
        with storing("the clip"), locked(self._folder):
            stored = list(self._stored())
            self._check_room(stored, len(data) + len(text.encode()))
            self._check_twins(place)
            self._check_links(folder)
            try:
                # The clip comes last: none is without its note.
                write_atomic(folder / f"{id_}{NOTE}", text, durable=True)
                write_atomic(folder / f"{id_}{suffix}", data, durable=True)
            except BaseException:
                self._remove(folder, id_)
                raise
        return id_

    def listing(self) -> list[dict[str, Any]]:
        """Return every collection with the number of clips of each label."""
        stored = list(self._stored())
        return [
            self._summary(name, [one for one in stored if one.collection == name])
            for name in sorted({one.collection for one in stored})
        ]

    def describe(self, collection: str, *, newest: bool = True) -> dict[str, Any]:
        """Return a collection with its counts. Raises NotFound.

        newest: with the newest clips of each label.
        """
        stored = list(self._stored(collection)) if collection else []
        if not stored:
            raise NotFound(f"no collection {collection!r:.80}")
        found = self._summary(collection, stored)
        for label in found["labels"] if newest else ():
            of_label = sorted(
                ((one.id, one.source) for one in stored if one.label == label["name"]),
                reverse=True,
            )
            label["newest"] = [{"id": id_, "source": source} for id_, source in of_label[:NEWEST]]
        return found

    def find(self, collection: str, label: str, id_: str) -> Path:
        """Return the file of a clip. Raises NotFound."""
        if ID.fullmatch(id_) and collection:
            for one in self._stored(collection):
                if (one.label, one.id) == (tidy(label), id_):
                    return Path(one.path)
        raise NotFound(f"no clip {id_!r:.80} of {label!r:.80} in {collection!r:.80}")

    def remove(self, collection: str, label: str, id_: str) -> None:
        """Delete a clip and its note. Raises NotFound."""
        with storing("the change"), locked(self._folder):
            self._remove(self.find(collection, label, id_).parent, id_)

    def _remove(self, folder: Path, id_: str) -> None:
        """Delete a clip, the note last, and the folders that are empty now."""
        for path in sorted(folder.glob(f"{id_}.*"), key=lambda path: path.suffix == NOTE):
            path.unlink(missing_ok=True)
        for above in (folder, folder.parent, folder.parent.parent):
            with suppress(OSError):  # it is not empty
                above.rmdir()

    def _check_room(self, stored: list[Stored], size: int) -> None:
        if len(stored) >= self._max_clips:
            raise InsufficientStorage(
                f"{len(stored)} clips are stored, at most {self._max_clips} are"
                " (max_labelled_clips)"
            )
        used = sum(one.size for one in stored)
        if used + size > self._max_bytes:
            raise InsufficientStorage(
                f"{used} bytes of clips are stored, {size} more are past the bound of"
                f" {self._max_bytes} (max_labelled_bytes)"
            )

    def _check_twins(self, place: Place) -> None:
        """Raise Unprocessable for a name of which people would not tell another one."""
        collection = self._root / place.collection
        labels = {name for source in _folders(collection) for name in _folders(collection / source)}
        for what, name, known in (
            ("collection", place.collection, _folders(self._root)),
            ("source", place.source, _folders(collection)),
            ("label", place.label, labels),
        ):
            for other in known:
                if other != name and alike(other) == alike(name):
                    raise Unprocessable(f"{what}s {difference(other, name)}: give them one name")

    def _check_links(self, folder: Path) -> None:
        for above in (folder, folder.parent, folder.parent.parent):
            if above.is_symlink():
                raise NotAllowed(f"{above.name!r:.80} is a link: nothing is stored through links")

    def _stored(self, collection: str = "") -> Iterator[Stored]:
        """Yield every file of a collection, or of all, that is no note; links are not followed."""
        there = sorted(_folders(self._root))
        for name in [name for name in there if collection in ("", name)]:
            for source in sorted(_folders(self._root / name)):
                for label in sorted(_folders(self._root / name / source)):
                    yield from _files(name, source, label, self._root / name / source / label)

    def _summary(self, name: str, stored: list[Stored]) -> dict[str, Any]:
        clips, sources = Counter(one.label for one in stored), Counter(one.source for one in stored)
        return {
            "name": name,
            "labels": [{"name": label, "clips": clips[label]} for label in sorted(clips)],
            "sources": [{"name": source, "clips": sources[source]} for source in sorted(sources)],
            "clips": len(stored),
            "bytes": sum(one.size for one in stored),
        }


def _folders(path: Path) -> set[str]:
    """Return the names of the folders in a folder, hidden ones and links left out."""
    try:
        with os.scandir(path) as entries:
            return {
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name)
            }
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _files(collection: str, source: str, label: str, folder: Path) -> Iterator[Stored]:
    # Called for every file at every change: texts are a quarter of the time of paths.
    sizes: dict[str, int] = {}
    suffixes: dict[str, str] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            stem, dot, suffix = entry.name.rpartition(".")
            if not stem or not entry.is_file(follow_symlinks=False) or is_hidden(entry.name):
                continue
            sizes[stem] = sizes.get(stem, 0) + entry.stat(follow_symlinks=False).st_size
            if dot + suffix != NOTE:
                suffixes[stem] = suffix
    for stem, suffix in suffixes.items():
        yield Stored(collection, source, label, stem, f"{folder}/{stem}.{suffix}", sizes[stem])
