"""Query parameters, validated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from common.errors import Unprocessable


def check_top_k(top_k: int) -> None:
    """Raise Unprocessable when it is less than 1."""
    if top_k < 1:
        raise Unprocessable(f"top_k={top_k} must be at least 1")


def read_query(request: web.Request, /, **readers: Callable[[str], Any]) -> dict[str, Any]:
    """Return the query's parameters, read. Raises Unprocessable naming what is unknown, repeated or unreadable."""
    values: dict[str, Any] = {}
    for name, text in request.query.items():
        if name not in readers:
            raise Unprocessable(
                f"unknown query parameter {name!r:.80}; known: {', '.join(readers) or 'none'}"
            )
        if name in values:
            raise Unprocessable(f"query parameter {name!r} is given twice")
        try:
            values[name] = readers[name](text)
        except ValueError:
            raise Unprocessable(f"{name}={text!r:.80} is not a number") from None
    return values
