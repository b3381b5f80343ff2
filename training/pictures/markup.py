"""HTML as a tree, and the few selectors that a catalogue needs.

A selector is `tag`, `.class`, `#id`, `[attribute]`, `[attribute=value]` or several of them joined (`a.next`), inside
one another (`nav a`) or right inside (`ul > li`), or alternatives (`a.next, link[rel=next]`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from training.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
CLOSED_BY_NEXT = {"li", "p", "tr", "td", "th", "option", "dt", "dd"}
"""Whose end tag may be left out."""
DEEPEST = 200
"""Elements inside one another; deeper ones become neighbours."""
_PART = re.compile(
    r"(?P<tag>^[a-zA-Z][\w-]*|^\*)|\.(?P<cls>[\w-]+)|#(?P<id>[\w-]+)|\[(?P<attr>[\w:-]+)(?:=(?P<value>[^\]]*))?\]"
)


@dataclass(eq=False)
class Element:
    """One element; `children` are elements and texts."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, blanks run together."""
        return " ".join(" ".join(_texts(self)).split())


def _texts(element: Element) -> Iterator[str]:
    for child in element.children:
        if isinstance(child, str):
            yield child
        elif child.tag not in {"script", "style"}:
            yield from _texts(child)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in CLOSED_BY_NEXT and self.open[-1].tag == tag:
            self.open.pop()
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID and len(self.open) < DEEPEST:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        for i in range(len(self.open) - 1, 0, -1):
            if self.open[i].tag == tag:
                del self.open[i:]
                return

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    """Return the tree of a page, however badly it is written."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


@dataclass(frozen=True)
class _Simple:
    """What one element must be, and whether it must be right inside what stands before."""

    tag: str
    classes: frozenset[str]
    attributes: tuple[tuple[str, str | None], ...]
    child: bool

    def fits(self, element: Element) -> bool:
        if self.tag not in {"", "*", element.tag}:
            return False
        if not self.classes <= set(element.attributes.get("class", "").split()):
            return False
        return all(
            name in element.attributes and value in {None, element.attributes[name]} for name, value in self.attributes
        )


@dataclass(frozen=True)
class Selector:
    """A selector, checked."""

    chains: tuple[tuple[_Simple, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Return the selector written in `text`. Raises RecipeError on one that is not understood."""
        return cls(tuple(_chain(part.strip(), text) for part in text.split(",")))

    def all(self, root: Element) -> list[Element]:
        """Return the elements inside `root` that fit, in the order of the page."""
        return [element for element, above in _walk(root, ()) if any(_fits(c, element, above) for c in self.chains)]

    def first(self, root: Element) -> Element | None:
        """Return the first element inside `root` that fits."""
        return next(iter(self.all(root)), None)


def _chain(text: str, whole: str) -> tuple[_Simple, ...]:
    chain: list[_Simple] = []
    child = False
    for word in text.replace(">", " > ").split():
        if word == ">":
            child = bool(chain)
            continue
        parts = list(_PART.finditer(word))
        if "".join(part[0] for part in parts) != word:
            raise RecipeError(f"selector {whole!r}: {word!r} is not understood; there is tag .class #id [name=value] >")
        attributes = [(part["attr"], _unquoted(part["value"])) for part in parts if part["attr"]]
        attributes += [("id", part["id"]) for part in parts if part["id"]]
        classes = frozenset(part["cls"] for part in parts if part["cls"])
        tag = next((part["tag"].lower() for part in parts if part["tag"]), "")
        chain.append(_Simple(tag, classes, tuple(attributes), child))
        child = False
    if not chain or child:
        raise RecipeError(f"selector {whole!r}: something is missing")
    return tuple(chain)


def _unquoted(value: str | None) -> str | None:
    return value if value is None else value.strip("\"'")


def _walk(root: Element, above: tuple[Element, ...]) -> Iterator[tuple[Element, tuple[Element, ...]]]:
    for child in root.children:
        if isinstance(child, Element):
            yield child, above
            yield from _walk(child, (*above, child))


def _fits(chain: tuple[_Simple, ...], element: Element, above: tuple[Element, ...]) -> bool:
    *outer, last = chain
    if not last.fits(element):
        return False
    if not outer:
        return True
    candidates = range(len(above) - 1, -1, -1) if not last.child else range(len(above) - 1, len(above) - 2, -1)
    return any(i >= 0 and _fits(tuple(outer), above[i], above[:i]) for i in candidates)
