"""Who may do what: keys on requests, their scopes, and how much each may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext

from aiohttp import web

from common.errors import InputError, NotAllowed, Unauthorised
from service.api.problems import Handler
from service.auth.key_cache import REFRESH_S, KeyCache
from service.auth.keys import Key, Scope
from service.auth.limits import KeyLimits, SharedLimits
from service.lifecycle import Closeable
from service.log import SECRET
from service.settings import is_loopback

SUBPROTOCOL = "timbre"
IN_SUBPROTOCOL = "timbre.key."
"""How a page, which cannot set headers on a WebSocket, offers its key: as a subprotocol beside
`timbre`."""
OPEN = ("/livez", "/readyz")
"""For machines that watch; they tell nothing."""
NEEDED: dict[str, Scope | None] = {
    "/v1/models": None,
    "/v1/models/{name}": None,
    "/v1/models/{name}/classify": "classify",
    "/v1/models/{name}/stream": "stream",
    "/v1/models/{name}/load": "admin",
}
"""Any good key will do where there is None; a route that is not named here needs `admin`."""
FOREIGN = (
    "Origin",
    "Forwarded",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
)
"""Headers of pages and of proxies."""
NO_PLACE = ("key", "api_key", "apikey", "token", "access_token")
"""Names of query parameters under which people send keys."""


PERMIT = web.RequestKey("permit", KeyLimits)


class Authenticator:
    """Lets only good keys pass, each within its scopes and its rate."""

    def __init__(self, ring: KeyCache, shared_limits: SharedLimits | None = None) -> None:
        self._ring = ring
        self._shared_limits = shared_limits
        self._permits: dict[str, KeyLimits] = {}

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Be the middleware. Raises Unauthorised, NotAllowed, TooMany; InputError for a key in the URL."""
        if request.path not in OPEN:
            key = await _identify(request, self._ring)
            permit = request[PERMIT] = self._permits.setdefault(
                key.id, KeyLimits(key, self._shared_limits)
            )
            permit.key = key
            await permit.count_request()
            _check_scope(request, key)
        return await handler(request)

    async def watch(self, _: web.Application) -> AsyncIterator[None]:
        """End the streams of keys that are revoked, while the application runs."""
        watching = [asyncio.create_task(self._watch())]
        if self._shared_limits:
            watching.append(asyncio.create_task(self._shared_limits.renew()))
        yield
        for each in watching:
            each.cancel()
        await asyncio.wait(watching)
        await self._ring.close()
        if self._shared_limits:
            await self._shared_limits.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            for permit in tuple(self._permits.values()):
                if not await self._ring.is_valid(permit.key):
                    permit.shut_down()
                    del self._permits[permit.key.id]


def streaming(request: web.Request, stream: Closeable) -> AbstractAsyncContextManager[None]:
    """Return what counts a stream of the request's key while it lasts; nothing where there are no keys."""
    permit = request.get(PERMIT)
    return permit.count_stream(stream) if permit else nullcontext()


def check_admin(request: web.Request, *, host: str) -> None:
    """Refuse to change the server for whom no key vouches, but for programs of this machine. Raises NotAllowed.

    host: the address the server listens on.
    """
    if PERMIT in request:
        return
    if not is_loopback(host):
        raise NotAllowed(
            "this changes the server, and without keys it is not open to other machines"
        )
    # A page that the user looks at reaches loopback too, and so does a proxy for whoever is behind
    # it.
    found = [name for name in FOREIGN if name in request.headers]
    if found:
        raise NotAllowed(
            f"this changes the server, and without keys it is not open to what sends {found[0]}"
        )


async def _identify(request: web.Request, ring: KeyCache) -> Key:
    if SECRET.search(request.path + "?" + request.query_string) or any(
        name in request.query for name in NO_PLACE
    ):
        raise InputError(
            "a key does not belong into a URL, where histories and logs keep it: send it as a header"
        )
    text = _offered(request)
    if text is None:
        raise Unauthorised("a key is needed: send the header 'Authorization: Bearer KEY'")
    key = await ring.find(text)
    if key is None:
        raise Unauthorised("the key is not known here, or was revoked")
    return key


def _offered(request: web.Request) -> str | None:
    """Return what a request offers as its key."""
    given = request.headers.getall("Authorization", [])
    if given:
        scheme, _, text = given[0].partition(" ")
        return text.strip() if scheme.lower() == "bearer" and len(given) == 1 else None
    names = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return next(
        (name.removeprefix(IN_SUBPROTOCOL) for name in names if name.startswith(IN_SUBPROTOCOL)),
        None,
    )


def _check_scope(request: web.Request, key: Key) -> None:
    resource = request.match_info.route.resource
    # A path that does not exist is told so.
    needed = NEEDED.get(resource.canonical, "admin") if resource else None
    if needed and needed not in key.scopes:
        raise NotAllowed(
            f"this needs a key with the scope {needed!r}; this one has {', '.join(key.scopes)}"
        )
