"""`POST /v1/records`: what monitors of other machines have heard, into the archive."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from common.errors import NotFound
from service.api.context import BODY_BUDGET, GATEWAY
from service.api.request import read_form, read_query
from service.api.responses import json_response
from service.archive.documents import document
from service.archive.receiver import MAX_BYTES, RecordReceiver
from service.archive.records import EventRecord, Record
from service.inference.gateway import Gateway

RECORDS = web.AppKey("records", RecordReceiver)
"""Missing in an application without an archive."""


async def add_records(request: web.Request) -> web.Response:
    """Store a batch; its events go to those who follow the events of this server too."""
    if RECORDS not in request.app:
        raise NotFound("records are off: start the server with --set archive=FILE")
    gateway = request.app[GATEWAY]
    read_query(request)
    with gateway.working(), request.app[BODY_BUDGET].hold(0) as memory:
        limit = min(MAX_BYTES, gateway.settings.max_body)
        body, _ = await read_form(request, gateway.settings, memory, fields=(), limit=limit)
        stored = await request.app[RECORDS].store(body)
    return json_response({"stored": stored})


def make_receiver(gateway: Gateway) -> RecordReceiver:
    """Return what writes to the archive of the settings and publishes the events that are new.

    Raises Unprocessable for a path that cannot be used.
    """

    def publish(record: Record) -> None:
        if isinstance(record, EventRecord):
            gateway.feed.forward(document(record), kind="record")

    settings = gateway.settings
    return RecordReceiver(settings.archive, max_bytes=settings.max_archive_bytes, stored=publish)


async def closing(app: web.Application) -> AsyncIterator[None]:
    """Close the archive when the application ends."""
    yield
    await app[RECORDS].close()
