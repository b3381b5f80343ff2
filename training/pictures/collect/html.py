"""A tolerant HTML parser, and the few CSS selectors that a crawl needs.

A selector is `tag`, `.class`, `#id`, `[attribute]`, `[attribute=value]` or several of them joined
(`a.next`), descendants (`nav a`) or children (`ul > li`), or alternatives (`a.next,
link[rel=next]`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import TYPE_CHECKING

from common.errors import InputError
from training.common.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

VOID = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
}
CLOSED_BY_NEXT = {"li", "p", "tr", "td", "th", "option", "dt", "dd"}
"""Elements whose end tag is optional."""
MAX_DEPTH = 200
"""Nested elements; deeper ones become siblings."""
MAX_ELEMENTS = 200_000
"""Elements of one page: some hundred times those of a usual page."""
RAW = {name: re.compile(f"</{name}(?=[\\s/>])", re.IGNORECASE) for name in ("script", "style")}
"""Raw text elements, and the pattern that ends them."""
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_TAG_END = re.compile(r"[\s/]*>")
_PART = re.compile(
    r"(?P<tag>^[a-zA-Z][\w-]*|^\*)|\.(?P<cls>[\w-]+)|#(?P<id>[\w-]+)|"
    r"\[(?P<attr>[\w:-]+)(?:=(?P<value>[^\]]*))?\]"
)


@dataclass(eq=False)
class Element:
    """One element; `children` are elements and texts."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, white space collapsed."""
        return " ".join(" ".join(_texts(self)).split())


def _texts(element: Element) -> Iterator[str]:
    for child in element.children:
        if isinstance(child, str):
            yield child
        elif child.tag not in {"script", "style"}:
            yield from _texts(child)


class _Builder:
    """Builds the tree, one tag or text at a time."""

    def __init__(self) -> None:
        self.root, self.count = Element(""), 0
        self.open = [self.root]

    def start(self, tag: str, attributes: dict[str, str], *, closed: bool) -> None:
        """Add an element. Raises InputError beyond `MAX_ELEMENTS`."""
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise InputError(f"a page of more than {MAX_ELEMENTS:,} elements")
        if tag in CLOSED_BY_NEXT and self.open[-1].tag == tag:
            self.open.pop()
        element = Element(tag, attributes)
        self.open[-1].children.append(element)
        if not closed and tag not in VOID and len(self.open) < MAX_DEPTH:
            self.open.append(element)

    def end(self, tag: str) -> None:
        for i in range(len(self.open) - 1, 0, -1):
            if self.open[i].tag == tag:
                del self.open[i:]
                return

    def text(self, text: str) -> None:
        if text:
            self.open[-1].children.append(unescape(text))


def parse(html: str) -> Element:
    """Return the tree of a page, valid or not, in linear time.

    An unclosed comment or tag extends to the end of the page, as in browsers.
    Raises InputError for more than `MAX_ELEMENTS` elements.
    """
    builder, at = _Builder(), 0
    while (sign := html.find("<", at)) >= 0:
        builder.text(html[at:sign])
        at = _markup(html, sign, builder)
    builder.text(html[at:])
    return builder.root


def _markup(html: str, at: int, builder: _Builder) -> int:
    """Parse markup that begins with `<`, and return its end."""
    if tag := _TAG.match(html, at):
        return _tag(html, tag, builder)
    if not html.startswith(("<!", "<?", "</"), at):
        builder.text("<")
        return at + 1
    closing = "-->" if html.startswith("<!--", at) else ">"
    end = html.find(closing, at + 2)
    return len(html) if end < 0 else end + len(closing)


def _tag(html: str, tag: re.Match[str], builder: _Builder) -> int:
    name, attributes, at = tag[2].lower(), dict[str, str](), tag.end()
    while found := _ATTRIBUTE.match(html, at):
        attributes.setdefault(found[1].lower(), unescape(_unquoted(found[2]) or ""))
        at = found.end()
    end = _TAG_END.match(html, at)
    if not end:
        return len(html)
    if tag[1]:
        builder.end(name)
        return end.end()
    closed = "/" in end[0]
    builder.start(name, attributes, closed=closed)
    if name not in RAW or closed:
        return end.end()
    after = RAW[name].search(html, end.end())
    return after.start() if after else len(html)


@dataclass(frozen=True)
class _Simple:
    """A compound selector, and whether it must be a child of the one before."""

    tag: str
    classes: frozenset[str]
    attributes: tuple[tuple[str, str | None], ...]
    child: bool

    def matches(self, element: Element) -> bool:
        if self.tag not in {"", "*", element.tag}:
            return False
        if not self.classes <= set(element.attributes.get("class", "").split()):
            return False
        return all(
            name in element.attributes and value in {None, element.attributes[name]}
            for name, value in self.attributes
        )


@dataclass(frozen=True)
class Selector:
    """A parsed selector."""

    chains: tuple[tuple[_Simple, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Return the selector of a text. Raises RecipeError for an unsupported one."""
        return cls(tuple(_chain(part.strip(), text) for part in text.split(",")))

    def all(self, root: Element) -> list[Element]:
        """Return the matching elements inside `root`, in document order."""
        found, none = [], [0] * len(self.chains)
        # For each element, by chain: bits of the parts that its parent, and any ancestor, matches.
        pending = [
            (child, none, none) for child in reversed(root.children) if isinstance(child, Element)
        ]
        while pending:
            element, parent, above = pending.pop()
            here = [
                _matching_parts(*each, element)
                for each in zip(self.chains, parent, above, strict=True)
            ]
            if any(bits >> len(chain) - 1 for bits, chain in zip(here, self.chains, strict=True)):
                found.append(element)
            ancestors = [a | b for a, b in zip(above, here, strict=True)]
            pending += [
                (child, here, ancestors)
                for child in reversed(element.children)
                if isinstance(child, Element)
            ]
        return found

    def first(self, root: Element) -> Element | None:
        """Return the first matching element inside `root`."""
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
            raise RecipeError(
                f"selector {whole!r}: {word!r} is not supported; known: tag .class #id "
                "[name=value] >"
            )
        attributes = [(part["attr"], _unquoted(part["value"])) for part in parts if part["attr"]]
        attributes += [("id", part["id"]) for part in parts if part["id"]]
        classes = frozenset(part["cls"] for part in parts if part["cls"])
        tag = next((part["tag"].lower() for part in parts if part["tag"]), "")
        chain.append(_Simple(tag, classes, tuple(attributes), child))
        child = False
    if not chain or child:
        raise RecipeError(f"selector {whole!r}: a part is missing")
    return tuple(chain)


def _unquoted(value: str | None) -> str | None:
    return value if value is None else value.strip("\"'")


def _matching_parts(chain: tuple[_Simple, ...], parent: int, above: int, element: Element) -> int:
    """Return the bits of the chain's parts that an element and its ancestors match."""
    bits = 0
    for number, part in enumerate(chain):
        before = not number or (parent if part.child else above) >> number - 1 & 1
        if before and part.matches(element):
            bits |= 1 << number
    return bits
