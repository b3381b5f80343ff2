"""Searches for pictures in Openverse and Wikimedia Commons, with author and licence of each.

Their APIs are those of api.openverse.org/v1/images/ and of MediaWiki's api.php
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
"""Maximum of pictures in a results page without an account."""
API_URLS = {
    "openverse": "https://api.openverse.org/v1/images/",
    "commons": "https://commons.wikimedia.org/w/api.php",
}
PICTURES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff")
DRAWING = "image/svg+xml"
"""Commons renders it as PNG."""
KINDS = {
    "": ("", "filetype:bitmap"),
    "photograph": ("photograph", 'filetype:bitmap filemime:"image/jpeg"'),
    "clip art": ("illustration", "filetype:drawing"),
}
"""Openverse's category, and Commons's keywords, of each kind of picture."""


@dataclass(frozen=True, kw_only=True)
class CollectionSearch:
    """Queries to a collection, one label each."""

    collection: str
    """`openverse` or `commons`."""
    queries: dict[str, str] = field(default_factory=dict)
    """Label to search text."""
    kind: str = ""
    """`photograph`, `clip art`, or empty for all pictures."""
    count: int = 100
    """Maximum of pictures per label."""
    url: str = ""
    """URL of the API; default: that of the collection."""
    licences: tuple[str, ...] = ("cc0", "pdm", "by", "by-sa")
    """Accepted licences, as abbreviated by Creative Commons."""
    width: int = 640
    """Maximum width in pixels of pictures from Commons."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        if self.collection not in PAGES:
            raise RecipeError(f"collection {self.collection!r} must be one of {', '.join(PAGES)}")
        if self.kind not in KINDS:
            raise RecipeError(
                f"kind {self.kind!r} must be one of {', '.join(filter(None, KINDS))}, or empty"
            )
        if not self.queries or self.count < 1:
            raise RecipeError(
                "a search needs queries, such as queries = { robin = 'european robin' }, and a "
                "count of 1 or more"
            )

    def start(self) -> list[Item]:
        """Return the first page of every query."""
        return [
            Item(kind="page", url=self._page(query, 1), path=(label,))
            for label, query in self.queries.items()
        ]

    def label(self, path: tuple[str, ...]) -> str:
        """Return the label of a query's pictures."""
        return path[0]

    def read(self, item: Item, fetched: Fetched) -> list[Item]:
        """Return the pictures of a results page, and the next page. Raises FetchError."""
        try:
            response = json.loads(fetched.text)
            found = list(
                self._openverse(response)
                if self.collection == "openverse"
                else self._commons(response)
            )
            more = self._more(response, item.number)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchError(f"not a response of {self.collection}: {error!r}") from error
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
        parameters: dict[str, Any] = {
            "q": query, "page": number, "page_size": size, "license": ",".join(self.licences),
            "mature": "false",
        }  # fmt: skip
        category, keywords = KINDS[self.kind]
        if category:
            parameters["category"] = category
        if self.collection == "commons":
            parameters = {
                "action": "query", "format": "json", "generator": "search", "gsrnamespace": 6,
                "gsrlimit": size, "gsrsearch": f"{keywords} {query}",
                "gsroffset": (number - 1) * size, "prop": "imageinfo",
                "iiprop": "url|mime|extmetadata", "iiurlwidth": self.width,
            }  # fmt: skip
        return f"{self.url or API_URLS[self.collection]}?{urlencode(parameters)}"

    def _more(self, response: dict[str, Any], number: int) -> bool:
        return (
            "continue" in response
            if self.collection == "commons"
            else number < int(response.get("page_count", 0))
        )

    def _openverse(self, response: dict[str, Any]) -> Iterator[dict[str, str]]:
        for one in response["results"]:
            yield {
                "url": str(one["url"]),
                "title": str(one.get("title") or ""),
                "page": str(one.get("foreign_landing_url") or ""),
                "author": str(one.get("creator") or ""),
                "licence": f"{one['license']} {one.get('license_version') or ''}".strip(),
                "licence_url": str(one.get("license_url") or ""),
            }

    def _commons(self, response: dict[str, Any]) -> Iterator[dict[str, str]]:
        pages = response.get("query", {}).get("pages", {}).values()
        for page in sorted(pages, key=lambda page: page.get("index", 0)):
            info = page["imageinfo"][0]
            facts = {
                name: _plain(value["value"]) for name, value in info.get("extmetadata", {}).items()
            }
            mime = info.get("mime", "image/jpeg")
            drawn = self.kind == "clip art" and mime == DRAWING and "thumburl" in info
            if mime in PICTURES or drawn:
                yield {
                    "url": str(info.get("thumburl") or info["url"]),
                    "title": str(page.get("title", "")).removeprefix("File:"),
                    "page": str(info.get("descriptionurl", "")),
                    "author": facts.get("Artist", ""),
                    "licence": facts.get("LicenseShortName", ""),
                    "licence_url": facts.get("LicenseUrl", ""),
                }


def _plain(value: object) -> str:
    """Return a value of Commons, which is HTML, as text."""
    return parse(str(value)).text


def _abbreviated(licence: str) -> str:
    """Return `CC BY-SA 4.0`, `by-sa 4.0` and the like as `by-sa`."""
    text = licence.lower().replace("creative commons", "cc").replace("public domain", "pdm")
    words = text.removeprefix("cc-").replace("cc ", "").replace("zero", "cc0").split()
    first = words[0] if words else ""
    return first if not first.startswith("pd") else "pdm"
