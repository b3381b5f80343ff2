"""Authenticates requests: API key, scope, rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import InputError, NotAllowed, Unauthorised
from service.auth.key_cache import REFRESH_S, KeyCache
from service.auth.keys import Key, Scope
from service.auth.limits import KeyLimits, SharedLimits
from service.lifecycle import Stoppable
from service.log import SECRET

SUBPROTOCOL = "timbre"
KEY_SUBPROTOCOL = "timbre.key."
"""Prefix of a key among the subprotocols: a page cannot set headers on a WebSocket."""
PROBES = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
"""Paths that need no key, for they reveal nothing; requested every few seconds, so not logged."""
METRICS = "/metrics"
PAGE_ROUTES = (
    "/",
    "/app/{view}",
    "/app/{version}/{file}",
    "/docs",
    "/openapi.json",
    "/asyncapi.json",
)
"""The page and the description need no key: they are the same for all, and tell no secret."""
OPEN_INFERENCE_READS = (
    *("/v2", "/v2/models/stats", "/v2/repository/index"),
    *(f"/v2/models/{{name}}{end}" for end in ("", "/ready", "/config", "/stats")),
    *(
        f"/v2/models/{{name}}/versions/{{model_version}}{end}"
        for end in ("", "/ready", "/config", "/stats")
    ),
)
ROUTE_SCOPES: dict[str, Scope | None] = {
    **dict.fromkeys(PAGE_ROUTES),
    "/v1/models": None,
    "/v1/models/{name}": None,
    "/v1/models/{name}/report": None,
    "/v1/models/{name}/classify": "classify",
    "/v1/models/{name}/stream": "stream",
    "/v1/models/{name}/load": "admin",
    "/v1/events": "events",
    "/v1/records": "records",
    METRICS: "metrics",
    **dict.fromkeys(OPEN_INFERENCE_READS),
    "/v2/models/{name}/infer": "classify",
    "/v2/models/{name}/versions/{model_version}/infer": "classify",
}
"""Scope that a route needs; None: any valid key; a route that is not listed: `admin`."""
KEY_PARAMETERS = ("key", "api_key", "apikey", "token", "access_token")
"""Query parameters in which clients send keys by mistake."""
KEY_LIMITS = web.RequestKey("key_limits", KeyLimits)


class Authenticator:
    """Accepts requests with a valid key, within its scopes and its rate."""

    def __init__(self, keys: KeyCache, shared_limits: SharedLimits | None = None) -> None:
        self._keys = keys
        self._shared_limits = shared_limits
        self._limits: dict[str, KeyLimits] = {}

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware. Raises Unauthorised, NotAllowed, TooMany; InputError for a key in the URL."""
        if not (request.path in PROBES or needs_no_key(route_of(request))):
            _check_url(request)
            request[KEY_LIMITS] = limits = await self.limits_of(_sent_key(request))
            await limits.count_request()
            require_scope(limits.key, needed_scope(request))
        return await handler(request)

    async def limits_of(self, text: str | None) -> KeyLimits:
        """Return the limits of the key that is sent. Raises Unauthorised when it is not valid."""
        if text is None:
            raise Unauthorised(
                "an API key is required: send the header 'Authorization: Bearer KEY'"
            )
        key = await self._keys.find(text)
        if key is None:
            raise Unauthorised("unknown or revoked API key")
        limits = self._limits.setdefault(key.id, KeyLimits(key, self._shared_limits))
        limits.key = key
        return limits

    async def watch(self, _: web.Application) -> AsyncIterator[None]:
        """End the streams of revoked keys, while the application runs."""
        tasks = [asyncio.create_task(self._watch())]
        if self._shared_limits:
            tasks.append(asyncio.create_task(self._shared_limits.renew()))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._keys.close()
        if self._shared_limits:
            await self._shared_limits.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            for limits in tuple(self._limits.values()):
                if not await self._keys.is_valid(limits.key):
                    limits.shut_down()
                    del self._limits[limits.key.id]


AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
"""Missing in an application without keys."""


def client_of(request: web.Request) -> str:
    """Return who sends a request: the id of its key, or else its address."""
    return request[KEY_LIMITS].key.id if KEY_LIMITS in request else request.remote or ""


def count_stream(request: web.Request, stream: Stoppable) -> AbstractAsyncContextManager[None]:
    """Return a context in which the stream counts for the request's key, if there are keys."""
    limits = request.get(KEY_LIMITS)
    return limits.count_stream(stream) if limits else nullcontext()


def needed_scope(request: web.Request) -> Scope | None:
    """Return the scope that a request needs; None where any key will do."""
    route = route_of(request)
    # Without a route the path does not exist: the router answers 404.
    return None if route is None else ROUTE_SCOPES.get(route, "admin")


def needs_no_key(route: str | None) -> bool:
    """Return whether a route, by its pattern, is answered without a key."""
    return route in PROBES or route in PAGE_ROUTES


def _check_url(request: web.Request) -> None:
    """Raise InputError for a key in the URL."""
    if SECRET.search(request.path + "?" + request.query_string) or any(
        name in request.query for name in KEY_PARAMETERS
    ):
        raise InputError(
            "an API key in the URL ends up in histories and logs; send it in the header"
            " 'Authorization: Bearer KEY'"
        )


def _sent_key(request: web.Request) -> str | None:
    """Return the text that a request sends as its key."""
    headers = request.headers.getall("Authorization", [])
    if headers:
        scheme, _, text = headers[0].partition(" ")
        return text.strip() if scheme.lower() == "bearer" and len(headers) == 1 else None
    names = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return next(
        (name.removeprefix(KEY_SUBPROTOCOL) for name in names if name.startswith(KEY_SUBPROTOCOL)),
        None,
    )


def check_scope(request: web.Request, needed: Scope) -> None:
    """Raise NotAllowed unless the request's key has a scope; without keys, nobody needs one."""
    if KEY_LIMITS in request:
        require_scope(request[KEY_LIMITS].key, needed)


def require_scope(key: Key, needed: Scope | None) -> None:
    """Raise NotAllowed for a key without a scope; None: any key will do."""
    if needed and needed not in key.scopes:
        raise NotAllowed(
            f"a key with the scope {needed!r} is required; this one has {', '.join(key.scopes)}"
        )


def route_of(request: web.Request) -> str | None:
    """Return the route of a request as it was declared, `/v1/models/{name}`; None without one."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else None
