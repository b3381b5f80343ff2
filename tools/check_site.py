#!/usr/bin/env python3
"""Check a built site: every link and picture leads somewhere, and nothing is from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "srcset")}
"""What a browser fetches without being asked; `a` is followed by a person."""


class Page(HTMLParser):
    """The addresses of a page, and the places in it that can be pointed at."""

    def __init__(self, text: str) -> None:
        """Read the text of a page."""
        super().__init__()
        self.places: set[str] = set()
        self.addresses: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the id and the addresses of an element."""
        for name, value in attrs:
            if name in ("id", "name"):
                self.places.add(value or "")
            elif (tag, name) in {*LOADED, ("a", "href")}:
                self.addresses.append((tag, value or ""))


def faults(site: Path) -> Iterator[str]:
    """Yield what is wrong: a page, the address in it, and why."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in sorted(pages.items()):
        for tag, address in page.addresses:
            parts = urlsplit(address)
            # The page of missing pages is shown at any address, and so names its own from the root.
            base = site if parts.path.startswith("/") else path.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if parts.scheme in ("data", "mailto"):
                continue
            if parts.scheme or parts.netloc:
                if tag != "a":
                    yield f"{path.relative_to(site)}: {address} is fetched from elsewhere"
            elif not target.exists():
                yield f"{path.relative_to(site)}: {address} does not exist"
            elif target in pages and unquote(parts.fragment) not in {"", *pages[target].places}:
                yield f"{path.relative_to(site)}: {address} has no such place"


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1]).resolve()))
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    sys.exit(1 if found else 0)
