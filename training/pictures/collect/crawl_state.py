"""The state of a crawl, written to disk after every step so that a killed crawl resumes."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from common.strict_json import to_json
from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Item:
    """One address to fetch."""

    kind: str
    """`page` or `picture`."""
    url: str
    path: tuple[str, ...] = ()
    """Names of the categories above it."""
    number: int = 1
    """Number of a results page in its category."""
    about: dict[str, str] = field(default_factory=dict)
    """Title, page, author and licence of a picture."""


JOURNAL_FIELDS = ("kind", "url", "number", "about")


class CrawlState:
    """A journal with one JSON line for each URL that was processed and the URLs found there."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        """Open or create a journal. Raises MaterialError when it is in use or of another crawl.

        about: identifies the crawl; JSON.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self.pages: deque[Item] = deque()
        self.pictures: deque[Item] = deque()
        self.seen: set[str] = set()
        self.done: dict[str, dict[str, Any]] = {}
        self.counts: Counter[str] = Counter()
        self.files: dict[str, str] = {}
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise MaterialError(f"another process is crawling into {folder}") from None
        steps = self._read()
        if steps and steps[0] != {"crawl": about}:
            self._file.close()
            raise MaterialError(
                f"{folder} holds a crawl of another recipe: name another folder, or use that recipe"
            )
        if not steps:
            self._append({"crawl": about})
        for step in steps[1:]:
            self._apply(step)
        for step in [step for step in self.done.values() if step["again"]]:
            item = Item(**{name: step[name] for name in JOURNAL_FIELDS}, path=tuple(step["path"]))
            (self.pictures if item.kind == "picture" else self.pages).append(item)

    def _read(self) -> list[dict[str, Any]]:
        """Return the steps, and truncate an incomplete last line."""
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        self._file.truncate(whole)
        return [json.loads(line) for line in data[:whole].splitlines()]

    def _append(self, step: dict[str, Any]) -> None:
        self._file.write(to_json(step, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def start(self, items: Iterable[Item]) -> None:
        """Add the first URLs, unless they were there before."""
        for item in items:
            self._add(item)

    def next(self) -> Item | None:
        """Return the next item, or None: pictures first, so that few are pending."""
        pending = self.pictures or self.pages
        return pending[0] if pending else None

    def finish(
        self,
        item: Item,
        result: str,
        found: Iterable[Item] = (),
        *,
        again: bool = False,
        **about: Any,
    ) -> None:
        """Record the result of a URL.

        result: `ok` or the reason of the failure. again: whether to retry when the crawl resumes.
        """
        new = [asdict(other) for other in found if other.url not in self.seen]
        step = {**asdict(item), "result": result, "again": again, **about, "found": new}
        self._append(step)
        self._apply(json.loads(to_json(step)))

    def _apply(self, step: dict[str, Any]) -> None:
        # A retry does not count again.
        self.counts[step["kind"]] += step["url"] not in self.done
        self.done[step["url"]] = step
        self.seen.add(step["url"])
        if "file" in step:
            self.files[step["sha256"]] = step["file"]
        pending = self.pictures if step["kind"] == "picture" else self.pages
        if pending and pending[0].url == step["url"]:
            pending.popleft()
        for found in step.pop("found"):
            self._add(Item(**{**found, "path": tuple(found["path"])}))

    def _add(self, item: Item) -> None:
        if item.url not in self.seen:
            self.seen.add(item.url)
            (self.pictures if item.kind == "picture" else self.pages).append(item)

    def close(self) -> None:
        """Close the journal."""
        self._file.close()
