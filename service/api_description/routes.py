"""Serves the description: `/openapi.json`, `/asyncapi.json` and `/docs`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from aiohttp import web

from common.strict_json import to_json
from service.api.context import GATEWAY
from service.api.page import document_response
from service.api_description import asyncapi as of_stream
from service.api_description import openapi as of_routes
from service.api_description.docs_page import docs_page
from service.page.files import PageFile, page_file
from service.settings import Settings

DOCUMENTS = web.AppKey("documents", dict[str, tuple[PageFile, str]])
"""By path: what was made at its first request, and its version."""
MADE: dict[str, tuple[str, Callable[[Settings], str]]] = {
    "/openapi.json": ("openapi.json", lambda settings: to_json(of_routes.openapi(settings))),
    "/asyncapi.json": ("asyncapi.json", lambda settings: to_json(of_stream.asyncapi(settings))),
    "/docs": ("docs.html", docs_page),
}
"""By path: the name of a file of its type, and how it is made."""


async def describe(request: web.Request) -> web.Response:
    """Serve a document of the description."""
    documents = request.app[DOCUMENTS]
    if request.path not in documents:
        name, make = MADE[request.path]
        body = make(request.app[GATEWAY].settings).encode()
        version = hashlib.sha256(body).hexdigest()[:16]
        documents[request.path] = (page_file(name, body), version)
    document, version = documents[request.path]
    return document_response(request, document, version=version)


def add_description(app: web.Application) -> None:
    """Add the routes of the description."""
    app[DOCUMENTS] = {}
    app.add_routes([web.get(path, describe) for path in MADE])
