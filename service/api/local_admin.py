"""Without API keys, lets only local programs and the server's own page administrate."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from common.errors import NotAllowed
from service.api.authentication import PROBES, needed_scope
from service.api.host_check import KNOWN_HOSTS
from service.hosts import Host, parse_host, parse_origin, target_host
from service.settings import is_loopback

PAGE_HEADERS = ("Origin", "Referer")
"""Set by browsers for pages."""
FORWARDING_HEADERS = (
    "Forwarded",
    "Via",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Remote-Addr",
    "X-Remote-IP",
    "X-ProxyUser-IP",
    "X-Host",
    "X-Scheme",
    "X-HTTP-Host-Override",
    "X-Rewrite-URL",
    "X-Request-Start",
    "X-Varnish",
    "True-Client-IP",
    "Client-IP",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "Proxy-Connection",
    "CDN-Loop",
    "Max-Forwards",
)
"""Set by proxies."""
FORWARDING_PREFIXES = (
    "x-forwarded-",
    "x-original-",
    "x-envoy-",
    "x-amz",
    "x-arr-",
    "x-appengine-",
    "x-appgw-",
    "x-azure-",
    "x-akamai-",
    "x-cloud-",
    "x-vercel-",
    "x-nf-",
    "akamai-",
    "cf-",
    "cloudfront-",
    "do-connecting-",
    "fastly-",
    "fly-",
    "tailscale-",
)
"""How further headers of proxies begin."""
OWN_FETCHES = ("none", "same-origin")
"""Sec-Fetch-Site of what a person or a page of the server itself asked a browser for."""


def local_admin(host: str) -> Middleware:
    """Return the middleware that rejects administrative requests from elsewhere.

    host: the address the server listens on.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in PROBES and needed_scope(request) == "admin":
            _check_local(request, host)
        return await handler(request)

    return check


def _check_local(request: web.Request, host: str) -> None:
    """Reject what is not sent directly from this machine. Raises NotAllowed."""
    if not is_loopback(host):
        raise NotAllowed("without API keys this endpoint is served only on a loopback address")
    # Pages in the user's browser reach loopback too, and so do the clients of a local proxy.
    found = [name for name in FORWARDING_HEADERS if name in request.headers]
    found += [name for name in request.headers if name.lower().startswith(FORWARDING_PREFIXES)]
    if not set(request.headers.getall("Sec-Fetch-Site", [])) <= set(OWN_FETCHES):
        found.append("Sec-Fetch-Site")
    if not _is_own_page(request):
        found += [name for name in PAGE_HEADERS if name in request.headers]
    if found:
        raise NotAllowed(
            "without API keys this endpoint accepts only direct local requests, and those of the"
            f" server's own page; found the header {found[0]!r:.80}"
        )


def _is_own_page(request: web.Request) -> bool:
    """Return whether a browser says that the server's own page sends this.

    Its origin must be the one that is asked, at the port that was reached: a local proxy has
    another, and other names than the server's own may be those of a proxy.
    """
    headers, own = request.headers, request.app[KNOWN_HOSTS].own
    hosts, local = headers.getall("Host", []), request.get_extra_info("sockname")
    reached = parse_host(hosts[0]) if len(hosts) == 1 else None
    if own is None or reached is None or not isinstance(local, tuple):
        return False
    page = Host(reached.name, local[1])
    origins = headers.getall("Origin", [])
    # A Referer is the origin and a path; a browser that sends none of this is too old to tell.
    sent = origins + [_origin_of(each) for each in headers.getall("Referer", [])]
    return (
        headers.getall("Sec-Fetch-Site", []) == ["same-origin"]
        and reached.name in own
        and target_host(request.raw_path) is None
        and len(origins) <= 1
        and all(_page_of(each, request) == page for each in sent)
        and _with_port(reached, request) == page
    )


def _page_of(origin: str, request: web.Request) -> Host | None:
    """Return the host and port of an origin of the server's own scheme."""
    scheme, page = parse_origin(origin)
    return _with_port(page, request) if page and scheme == request.scheme else None


def _with_port(host: Host, request: web.Request) -> Host:
    return Host(host.name, host.port or (443 if request.scheme == "https" else 80))


def _origin_of(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.partition("/")[0].partition("?")[0].partition("#")[0]
