"""Which IP addresses a fetch may connect to: links and redirects must not reach the own network."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Endpoint = tuple[str, int]
"""IP address and port."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that stand for the IPv4 address in their last 32 bits (RFC 6052)."""
PORTS = {"http": 80, "https": 443}


def is_public(text: str) -> bool:
    """Return whether an IP address, or the one that it stands for, is of the public internet."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            address = address.ipv4_mapped
        elif address in NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif address.sixtofour:
            return is_public(str(address.sixtofour))
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )


def open_socket(
    info: tuple[Any, ...], private: frozenset[Endpoint] | None, error: Callable[[str], Exception]
) -> socket.socket:
    """Return the socket for an address, which is the one that is connected to.

    info: as socket.getaddrinfo has it. private: allowed addresses that are not public; None allows
    all. Raises `error` for others. To check what a name resolves to before would be another
    resolution, with another answer.
    """
    family, kind, protocol, _, address = info
    endpoint = (str(address[0]), int(address[1]))
    if private is not None and endpoint not in private and not is_public(endpoint[0]):
        raise error(f"{endpoint[0]} is an address of a private network")
    return socket.socket(family, kind, protocol)


def literal_endpoints(urls: Iterable[str]) -> frozenset[Endpoint]:
    """Return the addresses that URLs name as such, or as localhost; other names are not resolved.

    urls: of http or https; what is no URL names nothing.
    """
    found: set[Endpoint] = set()
    for url in urls:
        with suppress(ValueError):
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
            if host == "localhost":
                found |= {("127.0.0.1", port), ("::1", port)}
            else:
                found.add((str(ipaddress.ip_address(host)), port))
    return frozenset(found)
