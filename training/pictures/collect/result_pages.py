"""The numbered pages of results that links name, and those between them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 12
"""Digits of a number."""
_DIGITS = re.compile(r"\d+")


class Link(NamedTuple):
    """A link to a page of results."""

    text: str
    url: str


class Series(NamedTuple):
    """URLs that differ by a number: before + (step x page + offset) + after."""

    before: str
    after: str
    step: int
    offset: int

    def url(self, page: int) -> str:
        """Return the URL of a page."""
        return f"{self.before}{self.step * page + self.offset}{self.after}"

    def page(self, url: str) -> int:
        """Return the page of a URL, or 0 for one that is not of the series."""
        inner = url[len(self.before) : len(url) - len(self.after)]
        if self.before + inner + self.after != url or not _is_number(inner):
            return 0
        page, rest = divmod(int(inner) - self.offset, self.step)
        return 0 if rest else page


def number_of(text: str) -> int:
    """Return the number that a text is, 0 if it is none."""
    return int(text) if _is_number(text.strip()) else 0


def numbered_pages(links: Iterable[Link], *, most: int) -> dict[int, str]:
    """Return the URLs of pages 2 to the highest number by number, also of those without a link.

    Links without a number, such as "last", count by their URL. most: highest number that is
    returned; a page can name any.
    """
    links = list(links)
    known: dict[int, str] = {}
    for link in links:
        if number := number_of(link.text):
            known.setdefault(number, link.url)
    if series := _series(known):
        for link in links:
            if not number_of(link.text) and (number := series.page(link.url)) > 0:
                known.setdefault(number, link.url)
        for page in range(2, min(max(known), most) + 1):
            known.setdefault(page, series.url(page))
    return {page: known[page] for page in sorted(known) if 2 <= page <= most}


def _series(known: dict[int, str]) -> Series | None:
    """Return the series of two neighbours that most of the numbered URLs are of."""
    pages = sorted(known)
    found = [_between(low, high, known[low], known[high]) for low, high in pairwise(pages)]

    def members(series: Series) -> int:
        return sum(series.page(known[page]) == page for page in pages)

    return max(filter(None, found), key=members, default=None)


def _between(low: int, high: int, first: str, second: str) -> Series | None:
    """Return the series of two URLs that differ in one number, without leading zeros."""
    one, other = list(_DIGITS.finditer(first)), list(_DIGITS.finditer(second))
    if _DIGITS.split(first) != _DIGITS.split(second):
        return None
    differing = [(a, b) for a, b in zip(one, other, strict=True) if a[0] != b[0]]
    if len(differing) != 1 or any(len(m[0]) > len(str(int(m[0]))) for m in differing[0]):
        return None
    a, b = differing[0]
    step, rest = divmod(int(b[0]) - int(a[0]), high - low)
    if step <= 0 or rest:
        return None
    return Series(first[: a.start()], first[a.end() :], step, int(a[0]) - step * low)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST
