"""Binds the listening sockets."""

from __future__ import annotations

import socket

from service.hosts import bracketed
from service.settings import Settings


def bind(settings: Settings, *, shared: bool = False) -> socket.socket:
    """Return a socket bound to the address of the server, as `bind_address` does."""
    return bind_address(settings.host, settings.port, shared=shared)


def bind_address(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket bound to an address, `shared` between processes.

    Raises OSError with the address as its `filename`.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        error.filename = f"{bracketed(host)}:{port}"
        raise
    return listener
