"""A contact sheet: pictures and their predictions as one HTML page, without other files."""

from __future__ import annotations

import base64
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from common.atomic import atomic_file
from common.errors import InputError, TimbreError, Unprocessable
from common.page import closing, escape, opening

STYLE = Path(__file__).with_suffix(".css")
SCRIPT = Path(__file__).with_suffix(".js")
SIDE = 320
"""Pixels of a thumbnail's longer side: twice the size on the page, for high-density screens."""
MOST = 5_000
"""Pictures on one sheet: a browser is slow with more."""


@dataclass(frozen=True)
class Entry:
    """A classified picture."""

    path: Path
    predictions: list[dict[str, Any]]
    at: int
    """Offset of its thumbnail in the spool, bytes."""
    size: int

    @property
    def label(self) -> str:
        """The label with the highest score."""
        return str(self.predictions[0]["label"])

    @property
    def score(self) -> float:
        """The highest score."""
        return float(self.predictions[0]["score"])


@contextmanager
def writing(
    target: Path, *, title: str
) -> Iterator[Callable[[Path, TimbreError | dict[str, Any]], None]]:
    """Yield a function that adds a picture and its result; write the sheet when the block ends.

    Highest scores come first. Thumbnails are spooled to disk, so that memory stays flat. Raises
    Unprocessable if `target` cannot be written.
    """
    from features.picture import thumbnail

    entries: list[Entry] = []
    failed: list[tuple[Path, TimbreError]] = []
    with tempfile.TemporaryFile() as spool:

        def add(path: Path, found: TimbreError | dict[str, Any]) -> None:
            if isinstance(found, TimbreError):
                failed.append((path, found))
                return
            try:
                small = thumbnail(path.read_bytes(), side=SIDE)
            except OSError as error:  # it was there a moment ago
                failed.append((path, InputError(error.strerror or str(error))))
                return
            entries.append(
                Entry(path, found["predictions"], spool.seek(0, os.SEEK_END), len(small))
            )
            spool.write(small)

        try:
            # Fails before the work where there is no such folder.
            target.parent.stat()
            with atomic_file(target) as draft, draft.open("w", encoding="utf-8") as page:
                yield add
                page.writelines(_page(title, entries, failed, spool))
        except OSError as error:
            raise Unprocessable(f"{target} cannot be written: {error.strerror}") from error


def _page(
    title: str, entries: list[Entry], failed: list[tuple[Path, TimbreError]], spool: IO[bytes]
) -> Iterator[str]:
    ranked = sorted(entries, key=lambda entry: -entry.score)
    counts = Counter(entry.label for entry in entries)
    numbers = {label: number for number, (label, _) in enumerate(counts.most_common())}
    yield opening(title, style=STYLE.read_text(encoding="utf-8"))
    yield f'<h1>{escape(title)}</h1><div class="lead">{_summary(len(entries), len(failed))}</div>'
    yield from _legend(counts)
    yield '<div class="sheet">'
    if len(ranked) > MOST:
        ranked = ranked[: MOST // 2] + ranked[-(MOST // 2) :]
    for entry in ranked:
        spool.seek(entry.at)
        yield _card(entry, numbers[entry.label], spool.read(entry.size))
    yield "</div>"
    if failed:
        rows = "".join(
            f"<li><b>{escape(str(path))}</b> {escape(str(error))}</li>" for path, error in failed
        )
        yield f'<h2>Could not be read</h2><ul class="failed">{rows}</ul>'
    yield closing(script=SCRIPT.read_text(encoding="utf-8"))


def _summary(shown: int, failed: int) -> str:
    parts = [f"{shown:,} picture{'s' * (shown != 1)}, the surest first"]
    if shown > MOST:
        parts.append(f"the {MOST // 2:,} surest and the {MOST // 2:,} least sure are shown")
    if failed:
        parts.append(f"{failed:,} could not be read, see below")
    return "; ".join(parts)


def _legend(counts: Counter[str]) -> Iterator[str]:
    """Yield a button for each label, with its share, that filters the sheet by it."""
    most = max(counts.values(), default=1)
    yield '<div class="labels"><button id="order">show the least sure first</button><div>'
    for number, (label, count) in enumerate(counts.most_common()):
        share = 100 * count / most
        yield (
            f'<button class="label" data-label="{number}" aria-pressed="false" '
            f'style="--share:{share:.0f}%">'
            f"<span>{escape(label)}</span><i>{count:,}</i></button>"
        )
    yield "</div></div>"


def _card(entry: Entry, number: int, small: bytes) -> str:
    sure, *others = (round(100 * each["score"]) for each in entry.predictions[:3])
    next_best = ", ".join(
        f"{each['label']} {share}\u00a0%"
        for each, share in zip(entry.predictions[1:3], others, strict=True)
    )
    encoded = base64.b64encode(small).decode()
    return (
        f'<figure data-label="{number}" title="{escape(entry.path)}"><div class="thumbnail">'
        f'<img alt="" decoding="async" src="data:image/jpeg;base64,{encoded}"></div>'
        f'<figcaption><b>{escape(entry.label)}</b><i>{sure} %</i><hr style="--share:{sure}%">'
        f"<small>{escape(next_best) or '&nbsp;'}</small>"
        f'<small class="path">{escape(entry.path.name)}</small>'
        f'<small class="folder">in {escape(entry.path.parent.name or entry.path.parent)}</small>'
        "</figcaption></figure>\n"
    )
