"""`GET /v1/events`: the events that streams publish, as server-sent events."""

from __future__ import annotations

from aiohttp import web

from common.errors import Unprocessable
from service.api.context import GATEWAY
from service.api.request import read_query

RETRY_MS = 2_000
"""Milliseconds after which a browser connects again."""
MAX_ID = 64


async def events(request: web.Request) -> web.StreamResponse:
    """Send the events until the client leaves or the server shuts down."""
    asked = read_query(request, source=str, label=str)
    after = request.headers.get("Last-Event-ID", "")
    if len(after) > MAX_ID or not after.isprintable():
        raise Unprocessable(f"Last-Event-ID={after!r:.80} is not an id of this server")
    with request.app[GATEWAY].feed.follow(after=after, **asked) as follower:
        response = web.StreamResponse(
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        response.content_type = "text/event-stream"
        await response.prepare(request)
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        async for event in follower:
            await response.write(event.text.encode() if event else b": nothing happened\n\n")
    return response
