"""CORS for the origins that the setting `cors_origins` names."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

METHODS = "GET, POST, DELETE"
HEADERS = "Authorization, Content-Type, Inference-Header-Content-Length, X-Request-Id"
EXPOSED = "Inference-Header-Content-Length, Retry-After, X-Request-Id"
MAX_AGE_S = 600
"""Seconds for which a browser may cache the response to a preflight."""


def cors(origins: tuple[str, ...]) -> Middleware:
    """Return the middleware that answers preflights and marks responses; `*` means any origin."""

    @web.middleware
    async def share(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        allowed = (
            bool(origin)
            and request.path.startswith(("/v1/", "/v2/"))
            and ("*" in origins or origin in origins)
        )
        if (
            allowed
            and request.method == "OPTIONS"
            and "Access-Control-Request-Method" in request.headers
        ):
            response: web.StreamResponse = web.Response(status=204, headers=_preflight(origin))
        else:
            response = await handler(request)
        if not response.prepared:
            # For other origins too: a cache must not give them the response of an allowed one.
            response.headers["Vary"] = "Origin"
            if allowed:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

    return share


def _preflight(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Max-Age": str(MAX_AGE_S),
    }
