"""robots.txt (RFC 9309): the longest rule decides, `*` and `$` are wildcards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(r"\s*([a-z-]+)\s*:\s*([^#]*)", re.IGNORECASE)
_NAME = re.compile(r"[\w-]+")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


@dataclass(frozen=True)
class Robots:
    """The rules for one crawler."""

    rules: tuple[tuple[str, bool], ...] = ()
    """Patterns of paths, and whether they are allowed."""
    delay: float = 0.0
    """Seconds between requests that the host asks for (`Crawl-delay`, not in the standard)."""

    @classmethod
    def parse(cls, text: str, agent: str) -> Robots:
        """Return the rules for `agent`, whose first word is its name; else those for all."""
        found = _NAME.match(agent)
        name = found[0].lower() if found else "*"
        groups = list(_groups(text))
        mine = [lines for names, lines in groups if name in names] or [
            lines for names, lines in groups if "*" in names
        ]
        lines = [line for group in mine for line in group]
        rules = tuple(
            (unquote(value), key == "allow")
            for key, value in lines
            if key in {"allow", "disallow"} and value
        )
        delays = [
            float(value)
            for key, value in lines
            if key == "crawl-delay" and _SECONDS.fullmatch(value)
        ]
        return cls(rules, max(delays, default=0.0))

    def allow(self, url: str) -> bool:
        """Return whether a URL may be requested."""
        parts = urlsplit(url)
        path = unquote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        # Of two rules of equal length, the one that allows.
        matching = [
            (len(pattern), allowed) for pattern, allowed in self.rules if _matches(pattern, path)
        ]
        return max(matching, default=(0, True))[1]


def _groups(text: str) -> Iterator[tuple[set[str], list[tuple[str, str]]]]:
    """Yield the names of crawlers, and their lines."""
    names: set[str] = set()
    lines: list[tuple[str, str]] = []
    for line in text.removeprefix("\ufeff").splitlines():
        if not (read := _LINE.match(line)):
            continue
        key, value = read[1].lower(), read[2].strip()
        if key == "user-agent":
            if lines:
                yield names, lines
                names, lines = set(), []
            found = _NAME.match(value)
            names.add(found[0].lower() if found else value)
        elif names and key in {"allow", "disallow", "crawl-delay"}:
            lines.append((key, value))
    yield names, lines


def _matches(pattern: str, path: str) -> bool:
    """Return whether a path starts with the pattern; linear for any number of stars."""
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    last = others.pop() if others and pattern.endswith("$") else None
    for part in others:
        if (found := path.find(part, at)) < 0:
            return False
        at = found + len(part)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= at
    return at == len(path) or not pattern.endswith("$")
