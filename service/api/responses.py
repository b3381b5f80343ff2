"""JSON responses; NaN is never among them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from common.strict_json import to_json


def json_response(value: Any, **options: Any) -> web.Response:
    """Return a value as JSON. options: of web.json_response. Raises ValueError on NaN."""
    return web.json_response(value, dumps=to_json, **options)
