"""The host names a server answers to; reads the headers Host and Origin, any bytes. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from common.errors import Unprocessable

HOST = re.compile(
    r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII
)
"""Host and Origin without the scheme: name, IPv4 or bracketed IPv6 address, and perhaps a port."""
ORIGIN = re.compile(r"(https?)://(.+)", re.IGNORECASE | re.ASCII)
TARGET = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE | re.ASCII)
PORTS = {"http": 80, "https": 443}
MAX_PORT = 65_535
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Host(NamedTuple):
    """A host in its normal form: lower case, no dot at the end, addresses in the short form."""

    name: str
    port: int | None


class KnownHosts:
    """The names a server answers to."""

    def __init__(self, own: frozenset[str] | None, allowed: frozenset[str] = frozenset()) -> None:
        """own: names of the machine; None: any. allowed: names whose pages may have any port."""
        self.own = own
        self._allowed = allowed

    def knows(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        if self.own is None:
            return True
        found = parse_host(host)
        return found is not None and (found.name in self.own or found.name in self._allowed)

    def is_same_origin(self, origin: str, host: str) -> bool:
        """Return whether a page comes from this server, by its Origin.

        host: the Host header, for the port by which this server is reached. Its name counts only
        where any name does.
        """
        scheme, page = parse_origin(origin)
        reached = parse_host(host)
        if page is None or reached is None:
            return False
        if page.name in self._allowed:
            return True
        if self.own is None and page.name != reached.name:
            return False
        known = self.own is None or page.name in self.own
        default = PORTS[scheme]
        return known and (page.port or default) == (reached.port or default)


def known_hosts(listening: str, allowed: tuple[str, ...], *, any_name: bool) -> KnownHosts:
    """Return the names of a server.

    listening: the address it listens on. any_name: whether it answers to any, unless some are
    allowed by name. Raises Unprocessable on an invalid allowed name.
    """
    names = frozenset(host_name(name) for name in allowed)
    if any_name and not names:
        return KnownHosts(None)
    own = parse_host(bracketed(listening))
    return KnownHosts(LOOPBACK | {own.name} if own else LOOPBACK, names)


def parse_host(text: str) -> Host | None:
    """Return what a Host header names; None if it is malformed."""
    found = HOST.fullmatch(text)
    if found is None:
        return None
    name, port = found[1].lower(), int(found[2]) if found[2] else None
    if name.startswith("["):
        try:
            name = str(ipaddress.IPv6Address(name[1:-1]))
        except ValueError:
            return None
    name = name.removesuffix(".")
    return Host(name, port) if name and (port is None or 0 < port <= MAX_PORT) else None


def parse_origin(text: str) -> tuple[str, Host | None]:
    """Return the scheme and host of an Origin header; no host if it is of no web page."""
    found = ORIGIN.fullmatch(text)
    return (found[1].lower(), parse_host(found[2])) if found else ("", None)


def target_host(target: str) -> str | None:
    """Return the host in the target of a request line, which goes before Host (RFC 9112)."""
    if target.startswith("/") or target == "*":
        return None
    found = TARGET.match(target)
    return found[1] if found else target


def address_name(address: str) -> str:
    """Return an IP address in the form of a Host's name, IPv4 for an IPv6 address that maps it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(getattr(found, "ipv4_mapped", None) or found)


def host_name(text: str) -> str:
    """Return the normal form of a host in a setting. Raises Unprocessable."""
    try:
        found = parse_host(bracketed(text).encode("idna").decode("ascii"))
    except UnicodeError:
        found = None
    if found is None or found.port:
        raise Unprocessable(
            f"allowed_hosts={text!r:.80} must be names or addresses of hosts without a port,"
            " such as timbre.example.org"
        )
    return found.name


def bracketed(host: str) -> str:
    """Return a host as in URLs: IPv6 addresses in brackets."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
