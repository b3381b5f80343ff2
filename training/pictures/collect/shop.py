"""A shop's tree of categories, page by page: links to follow, and pictures of products."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from training.common.recipe import RecipeError
from training.pictures.collect.crawl_state import Item
from training.pictures.collect.html import Element, Selector, parse
from training.pictures.collect.result_pages import Link, number_of, numbered_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.pictures.collect.fetcher import Fetched

IMAGE_ATTRIBUTES = ("data-src", "data-original", "src")
"""Attributes with a thumbnail's URL, those of lazy loading first."""

MAX_TITLE = 200


@dataclass(frozen=True, kw_only=True)
class Select:
    """Selectors of the parts of a page."""

    categories: str
    """Links to categories."""
    products: str
    """Elements with one product each."""
    thumbnail: str = "img"
    """The picture inside a product."""
    title: str = ""
    """The name inside a product; default: the picture's `alt`, else the product's text."""
    next: str = "a[rel=next]"
    """The link to the next page of results, or the links to all, if each is a number."""
    pages: str = ""
    """Links to numbered pages of results, all followed, with those between them; default: where no
    `next` is found, links whose text is a number, if one is the next."""

    def __post_init__(self) -> None:
        """Check the selectors. Raises RecipeError."""
        for selector in filter(
            None,
            (
                self.categories,
                self.products,
                self.thumbnail,
                self.title,
                self.next,
                self.pages,
            ),
        ):
            Selector.parse(selector)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop to crawl."""

    root: str
    """URL of the page with the top categories."""
    allow: tuple[str, ...] = ()
    """Prefixes of the categories to follow, case-insensitive; empty: all."""
    hosts: tuple[str, ...] = ()
    """Other hosts to request from, such as that of the pictures."""
    ignore: tuple[str, ...] = ()
    """Query parameters that do not identify a page, such as a session."""
    depth: int = 6
    """Maximum depth of categories."""
    results: int = 200
    """Maximum of results pages per category."""
    select: Select
    labels: dict[str, str] = field(default_factory=dict)
    """Prefix of a category to its label; others get the name of their last category."""

    def __post_init__(self) -> None:
        """Check the root. Raises RecipeError."""
        if not re.match(r"https?://[^\s/\[\]]+(/|\?|$)", self.root):
            raise RecipeError(
                f"root={self.root!r:.80} must be a URL such as https://shop.example/instruments/"
            )

    def start(self) -> list[Item]:
        """Return the first page."""
        return [Item(kind="page", url=self._canonical(self.root, self.root))]

    def read(self, item: Item, fetched: Fetched) -> list[Item]:
        """Return the pictures and pages that a page links to."""
        page, url = parse(fetched.text), fetched.url
        products = list(self._products(page, item, url))
        below = self._categories(page, item, url) if item.number == 1 else []
        return [*products, *self._next(page, item, url), *below]

    def label(self, path: tuple[str, ...]) -> str:
        """Return the label of the pictures of a path of categories."""
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
                address = self._canonical(url, source)
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
                yield Item(kind="page", url=self._canonical(url, href), path=(*item.path, name))

    def _allowed(self, name: str) -> bool:
        return not self.allow or name.lower().startswith(tuple(word.lower() for word in self.allow))

    def _next(self, page: Element, item: Item, url: str) -> Iterator[Item]:
        """Yield the next page of results, or all that numbered links name."""
        following = self._links(page, self.select.next, url)
        are_numbers = len(following) > 1 and all(number_of(link.text) for link in following)
        if self.select.pages:
            numbered = self._links(page, self.select.pages, url)
        elif following:
            numbered = following if are_numbers else []
        else:
            numbered = [link for link in self._links(page, "a", url) if number_of(link.text)]
            if not any(number_of(link.text) == item.number + 1 for link in numbered):
                numbered = []
        here = Link(str(item.number), url)
        pages = numbered_pages([*numbered, here] if numbered else [], most=self.results)
        if following and not are_numbers and item.number < self.results:
            pages.setdefault(item.number + 1, following[0].url)
        pages.pop(item.number, None)
        for number, address in sorted(pages.items()):
            yield Item(kind="page", url=address, path=item.path, number=number)

    def _links(self, page: Element, selector: str, url: str) -> list[Link]:
        """Return the links that a selector finds."""
        return [
            Link(link.text, self._canonical(url, link.attributes["href"]))
            for link in Selector.parse(selector).all(page)
            if link.attributes.get("href")
        ]

    def _canonical(self, base: str, link: str) -> str:
        """Return the canonical URL of a link: absolute, without fragment and ignored parameters."""
        try:
            parts = urlsplit(urljoin(base, link.strip()))
        except ValueError:  # the fetcher reports the invalid URL
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
    """Return a name for a file: lower-case letters and digits, hyphens, at most 80 bytes."""
    plain = re.sub(r"[^\w]+", "-", name.lower()).strip("-_")
    return plain.encode()[:80].decode(errors="ignore") or "unnamed"
