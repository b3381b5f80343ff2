"""Where people may look a label up, from the templates of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from models.manifest import LINK, MAX_LINKS

LABEL = "{label}"


def links_of(templates: Mapping[str, str], label: str) -> dict[str, str]:
    """Return the links of a label as its manifest has them."""
    return {name: url.replace(LABEL, quote(label, safe="")) for name, url in templates.items()}


def are_templates(links: Mapping[str, str]) -> bool:
    """Return whether a manifest can have these, for labels of usual length."""
    return len(links) <= MAX_LINKS and all(
        0 < len(name) <= 40
        and name.isprintable()
        and LABEL in url
        and LINK.fullmatch(url.replace(LABEL, 100 * "x")) is not None
        for name, url in links.items()
    )
