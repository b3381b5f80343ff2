"""The ports of a gateway, for HTTP and gRPC: open while it is to answer on them."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from service.api.context import GATEWAY
from service.server.connections import Listener, listen
from service.server.gateway_states import SharedPort
from service.server.sockets import bind
from service.settings import Settings

if TYPE_CHECKING:
    from service.grpc_api.server import GrpcServer

POLL_S = 0.05
"""Seconds after which the states of the other gateways are read again."""
GRPC_S = 0.5
"""Seconds for calls in progress when the ports are closed before the gateway was ready."""


async def share(ports: Ports, shared: SharedPort, stopping: asyncio.Event) -> None:
    """Have the ports open, but not while another gateway on them is ready and this one is not.

    Returns once this one is ready, and only ready ones answer; or cannot be, or is to stop.
    """
    gateway, stopped = ports.gateway, asyncio.create_task(stopping.wait())
    ends = (gateway.opening, stopped)
    while not any(each.done() for each in ends):
        if shared.claim():
            await ports.open()
        else:
            await ports.close(grace=GRPC_S)
            shared.closed()
        await asyncio.wait(ends, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
    if gateway.opening.done() and not gateway.opening.exception():
        shared.ready()
        await ports.open()
        while shared.waits_for_others() and not stopped.done():
            await asyncio.wait((stopped,), timeout=POLL_S)
        gateway.waits_for_others = lambda: False
    stopped.cancel()


class Ports:
    """Opens and closes both; may do so again and again."""

    def __init__(
        self, app: web.Application, running: web.AppRunner, listener: socket.socket
    ) -> None:
        """listener: bound, for the first time that they are opened."""
        self._app, self._running = app, running
        self.gateway = app[GATEWAY]
        self._settings: Settings = self.gateway.settings
        self._bound: socket.socket | None = listener
        self._listening: Listener | None = None
        self.grpc: GrpcServer | None = None
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Host and port of HTTP."""

    async def open(self) -> None:
        """Accept connections, if that is not so yet. Raises OSError, Unprocessable."""
        if self._listening:
            return
        listener, self._bound = self._bound or bind(self._settings, shared=True), None
        expires = self.gateway.metrics.certificate_expiry.set
        self._listening = await listen(self._running, listener, self._settings, expires=expires)
        if self._settings.grpc_port >= 0:
            self.grpc = await _start_grpc(self._app)

    async def close(self, *, grace: float) -> None:
        """Accept no more connections. grace: seconds for the gRPC calls that are in progress."""
        listening, self._listening = self._listening, None
        grpc, self.grpc = self.grpc, None
        if listening:
            listening.close()
        if grpc:
            await grpc.stop(grace)


async def _start_grpc(app: web.Application) -> GrpcServer:
    """Accept gRPC calls. Raises OSError when the port is in use."""
    # It would write its own lines to stderr; what matters is told in ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Imported here so that a server without gRPC needs none of its packages.
    from service.grpc_api.server import GrpcServer

    server = GrpcServer(app)
    await server.start()
    return server
