"""Pages of other origins may call the HTTP routes, where the setting `cors_origins` names them."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Middleware

from service.api.problems import Handler

METHODS = "GET, POST"
HEADERS = "Authorization, Content-Type, X-Request-Id"
EXPOSED = "Retry-After, X-Request-Id"
KEEP_S = 600
"""How long a browser may remember a preflight's answer."""


def cors(origins: tuple[str, ...]) -> Middleware:
    """Return what answers preflights and marks answers for pages of the origins; `*` means any."""

    @web.middleware
    async def share(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        welcome = (
            bool(origin)
            and request.path.startswith("/v1/")
            and ("*" in origins or origin in origins)
        )
        if (
            welcome
            and request.method == "OPTIONS"
            and "Access-Control-Request-Method" in request.headers
        ):
            response: web.StreamResponse = web.Response(status=204, headers=_preflight(origin))
        else:
            response = await handler(request)
        if not response.prepared:
            # Also for those who are not welcome: a cache between must not give them a page's
            # answer.
            response.headers["Vary"] = "Origin"
            if welcome:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

    return share


def _preflight(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Max-Age": str(KEEP_S),
    }
