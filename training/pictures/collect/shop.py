"""A shop's tree of categories, read page by page: which pages lead on, and which pictures are on offer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from training.common.recipe import RecipeError
from training.pictures.collect.crawl_state import Item
from training.pictures.collect.html import Element, Selector, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.pictures.collect.fetcher import Fetched

IMAGE_ATTRIBUTES = ("data-src", "data-original", "src")
"""Where a thumbnail's address stands, those of pages that load it late first."""

MAX_TITLE = 200


@dataclass(frozen=True, kw_only=True)
class Select:
    """Where things are on a page, as selectors."""

    categories: str
    """Links to categories."""
    products: str
    """What holds one product each."""
    thumbnail: str = "img"
    """Its picture, inside a product."""
    title: str = ""
    """Its name, inside a product; else the picture's `alt`, else its text."""
    next: str = "a[rel=next]"
    """The link to the next page of results."""

    def __post_init__(self) -> None:
        """Refuse selectors that are not understood. Raises RecipeError."""
        for selector in filter(
            None, (self.categories, self.products, self.thumbnail, self.title, self.next)
        ):
            Selector.parse(selector)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop to walk through."""

    root: str
    """Address of the page that the categories hang from."""
    allow: tuple[str, ...] = ()
    """Beginnings of the names of categories to follow, in any case; none: all."""
    hosts: tuple[str, ...] = ()
    """Other hosts that may be asked, such as the one of the pictures."""
    ignore: tuple[str, ...] = ()
    """Query parameters that do not make another page, such as a session's."""
    depth: int = 6
    """Categories inside one another at most."""
    results: int = 200
    """Pages of results of one category at most."""
    select: Select
    labels: dict[str, str] = field(default_factory=dict)
    """Beginning of a category's name to the label of what is in it; others get the name of their
    last category."""

    def __post_init__(self) -> None:
        """Refuse a root that cannot be asked. Raises RecipeError."""
        if not re.match(r"https?://[^\s/\[\]]+(/|\?|$)", self.root):
            raise RecipeError(
                f"root={self.root!r:.80} must be an address such as https://shop.example/instruments/"
            )

    def start(self) -> list[Item]:
        """Return where to begin."""
        return [Item(kind="page", url=self._address(self.root, self.root))]

    def read(self, item: Item, fetched: Fetched) -> list[Item]:
        """Return what a page leads to."""
        page, url = parse(fetched.text), fetched.url
        products = list(self._products(page, item, url))
        below = self._categories(page, item, url) if item.number == 1 else []
        return [*products, *self._next(page, item, url), *below]

    def label(self, path: tuple[str, ...]) -> str:
        """Return the label of pictures that this path of categories led to."""
        for name in path:
            for beginning, label in self.labels.items():
                if name.lower().startswith(beginning.lower()):
                    return label
        return slug(path[-1]) if path else "unsorted"

    def _products(self, page: Element, item: Item, url: str) -> Iterator[Item]:
        thumbnail = Selector.parse(self.select.thumbnail)
        for product in Selector.parse(self.select.products).all(page):
            image = thumbnail.first(product)
            source = image and next(
                (image.attributes[a] for a in IMAGE_ATTRIBUTES if image.attributes.get(a)), ""
            )
            if image and source and not source.startswith("data:"):
                title = self._title(product, image)[:MAX_TITLE]
                address = self._address(url, source)
                yield Item(
                    kind="picture", url=address, path=item.path, about={"title": title, "page": url}
                )

    def _title(self, product: Element, image: Element) -> str:
        named = Selector.parse(self.select.title).first(product) if self.select.title else None
        return (named.text if named else "") or image.attributes.get("alt", "") or product.text

    def _categories(self, page: Element, item: Item, url: str) -> Iterator[Item]:
        if len(item.path) >= self.depth:
            return
        for link in Selector.parse(self.select.categories).all(page):
            name, href = link.text, link.attributes.get("href", "")
            if href and name and self._allowed(name):
                yield Item(kind="page", url=self._address(url, href), path=(*item.path, name))

    def _allowed(self, name: str) -> bool:
        return not self.allow or name.lower().startswith(tuple(word.lower() for word in self.allow))

    def _next(self, page: Element, item: Item, url: str) -> Iterator[Item]:
        link = Selector.parse(self.select.next).first(page)
        if link and link.attributes.get("href") and item.number < self.results:
            address = self._address(url, link.attributes["href"])
            yield Item(kind="page", url=address, path=item.path, number=item.number + 1)

    def _address(self, base: str, link: str) -> str:
        """Return one address for all that mean one page: whole, without fragment and ignored parameters."""
        try:
            parts = urlsplit(urljoin(base, link.strip()))
        except ValueError:  # no address; whoever fetches it says so
            return link.strip()
        query = urlencode(
            [
                pair
                for pair in parse_qsl(parts.query, keep_blank_values=True)
                if pair[0] not in self.ignore
            ]
        )
        return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path or "/", query, ""))


def slug(name: str) -> str:
    """Return a name for a file or folder: letters and digits in lower case, joined by hyphens, of 80 bytes at most."""
    plain = re.sub(r"[^\w]+", "-", name.lower()).strip("-_")
    return plain.encode()[:80].decode(errors="ignore") or "unnamed"
