"""Searches for pictures in open collections, with author and licence of each: Openverse and Wikimedia Commons.

Their interfaces are those of api.openverse.org/v1/images/ and of MediaWiki's api.php
(generator=search, imageinfo).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from training.common.recipe import RecipeError
from training.pictures.collect.crawl_state import Item
from training.pictures.collect.fetcher import Fetched, FetchError
from training.pictures.collect.html import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = {"openverse": 20, "commons": 50}
"""Pictures that a page of answers holds at most for those without an account."""
ADDRESSES = {
    "openverse": "https://api.openverse.org/v1/images/",
    "commons": "https://commons.wikimedia.org/w/api.php",
}
PICTURES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff")


@dataclass(frozen=True, kw_only=True)
class CollectionSearch:
    """Queries to a collection, one label each."""

    collection: str
    """`openverse` or `commons`: which interface is spoken."""
    queries: dict[str, str] = field(default_factory=dict)
    """Label to what is searched for."""
    count: int = 100
    """Pictures per label at most."""
    url: str = ""
    """Of the interface; else the collection's own."""
    licences: tuple[str, ...] = ("cc0", "pdm", "by", "by-sa")
    """Those wanted, as Creative Commons abbreviates them."""
    width: int = 640
    """Pixels of the pictures asked of Commons at most."""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked. Raises RecipeError."""
        if self.collection not in PAGES:
            raise RecipeError(f"collection {self.collection!r}: there is {', '.join(PAGES)}")
        if not self.queries or self.count < 1:
            raise RecipeError(
                "a search needs queries, as in queries = { robin = 'european robin' }, and a count of 1 or more"
            )

    def start(self) -> list[Item]:
        """Return the first page of every query."""
        return [
            Item(kind="page", url=self._page(query, 1), path=(label,))
            for label, query in self.queries.items()
        ]

    def label(self, path: tuple[str, ...]) -> str:
        """Return the label of what a query found."""
        return path[0]

    def read(self, item: Item, fetched: Fetched) -> list[Item]:
        """Return the pictures of a page of answers, and the next page. Raises FetchError on what is no such answer."""
        try:
            answer = json.loads(fetched.text)
            found = list(
                self._openverse(answer) if self.collection == "openverse" else self._commons(answer)
            )
            more = self._more(answer, item.number)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchError(f"is no answer of {self.collection}: {error!r}") from error
        before = (item.number - 1) * PAGES[self.collection]
        wanted = [one for one in found if _abbreviated(one["licence"]) in self.licences][
            : self.count - before
        ]
        items = [
            Item(kind="picture", url=one.pop("url"), path=item.path, about=one) for one in wanted
        ]
        if more and item.number * PAGES[self.collection] < self.count:
            following = self._page(self.queries[item.path[0]], item.number + 1)
            items.append(Item(kind="page", url=following, path=item.path, number=item.number + 1))
        return items

    def _page(self, query: str, number: int) -> str:
        size = min(PAGES[self.collection], self.count)
        asked: dict[str, Any] = {
            "q": query, "page": number, "page_size": size, "license": ",".join(self.licences), "mature": "false",
        }  # fmt: skip
        if self.collection == "commons":
            asked = {
                "action": "query", "format": "json", "generator": "search", "gsrnamespace": 6, "gsrlimit": size,
                "gsrsearch": f"filetype:bitmap {query}", "gsroffset": (number - 1) * size, "prop": "imageinfo",
                "iiprop": "url|mime|extmetadata", "iiurlwidth": self.width,
            }  # fmt: skip
        return f"{self.url or ADDRESSES[self.collection]}?{urlencode(asked)}"

    def _more(self, answer: dict[str, Any], number: int) -> bool:
        return (
            "continue" in answer
            if self.collection == "commons"
            else number < int(answer.get("page_count", 0))
        )

    def _openverse(self, answer: dict[str, Any]) -> Iterator[dict[str, str]]:
        for one in answer["results"]:
            yield {
                "url": str(one["url"]),
                "title": str(one.get("title") or ""),
                "page": str(one.get("foreign_landing_url") or ""),
                "author": str(one.get("creator") or ""),
                "licence": f"{one['license']} {one.get('license_version') or ''}".strip(),
                "licence_url": str(one.get("license_url") or ""),
            }

    def _commons(self, answer: dict[str, Any]) -> Iterator[dict[str, str]]:
        pages = answer.get("query", {}).get("pages", {}).values()
        for page in sorted(pages, key=lambda page: page.get("index", 0)):
            info = page["imageinfo"][0]
            facts = {
                name: _plain(value["value"]) for name, value in info.get("extmetadata", {}).items()
            }
            if info.get("mime", "image/jpeg") in PICTURES:
                yield {
                    "url": str(info.get("thumburl") or info["url"]),
                    "title": str(page.get("title", "")).removeprefix("File:"),
                    "page": str(info.get("descriptionurl", "")),
                    "author": facts.get("Artist", ""),
                    "licence": facts.get("LicenseShortName", ""),
                    "licence_url": facts.get("LicenseUrl", ""),
                }


def _plain(value: object) -> str:
    """Return a value of Commons, which is a piece of HTML, as text."""
    return parse(str(value)).text


def _abbreviated(licence: str) -> str:
    """Return `CC BY-SA 4.0`, `by-sa 4.0` and the like as `by-sa`."""
    text = licence.lower().replace("creative commons", "cc").replace("public domain", "pdm")
    words = text.removeprefix("cc-").replace("cc ", "").replace("zero", "cc0").split()
    first = words[0] if words else ""
    return first if not first.startswith("pd") else "pdm"
