"""Answers only requests for this server's own names: a name of another site may resolve to it."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from common.errors import Misdirected, NotAllowed, TimbreError
from service.api.authentication import PROBES
from service.api.middleware import problem
from service.hosts import KnownHosts, address_name, known_hosts, parse_host, target_host
from service.settings import Settings, is_loopback

KNOWN_HOSTS = web.AppKey("known_hosts", KnownHosts)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def hosts_of(settings: Settings) -> KnownHosts:
    """Return the names a server answers to. Raises Unprocessable on an invalid allowed name."""
    any_name = bool(settings.keys) or not is_loopback(settings.host)
    return known_hosts(settings.host, settings.allowed_hosts, any_name=any_name)


def host_check(settings: Settings) -> Middleware:
    """Return the middleware that rejects other names and, without keys, what other pages post."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check_host(request)
            if not settings.keys and request.method not in SAFE_METHODS:
                check_origin(request, settings.cors_origins, setting="cors_origins")
        except TimbreError as error:
            return problem(error, request)
        return await handler(request)

    return check


def check_host(request: web.Request) -> None:
    """Raises Misdirected for a host that is not this server's, or without exactly one."""
    known = request.app[KNOWN_HOSTS]
    if known.own is None:
        return
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1:
        raise Misdirected(f"one Host header is needed; this request has {len(hosts)}")
    target = target_host(request.raw_path)
    for host in hosts if target is None else (target, *hosts):
        if not (known.knows(host) or _is_probe_by_address(request, host)):
            raise Misdirected(
                f"host {host!r:.80} is not a name of this server; see the setting allowed_hosts"
            )


def check_origin(request: web.Request, allowed: tuple[str, ...], *, setting: str) -> None:
    """Reject pages of other origins: browsers send an Origin, other clients send none.

    allowed: origins besides the server's own; `*`: any. Raises NotAllowed.
    """
    host = target_host(request.raw_path) or str(request.headers.get("Host", ""))
    for origin in request.headers.getall("Origin", []):
        if "*" in allowed or origin in allowed:
            continue
        if not request.app[KNOWN_HOSTS].is_same_origin(origin, host):
            raise NotAllowed(f"origin {origin!r:.80} is not allowed; see the setting {setting}")


def _is_probe_by_address(request: web.Request, host: str) -> bool:
    """Return whether a probe names the address it reached: no name can resolve to an address."""
    local = request.get_extra_info("sockname")
    found = parse_host(host)
    return (
        request.path in PROBES
        and isinstance(local, tuple)
        and found is not None
        and found.name == address_name(local[0])
    )
