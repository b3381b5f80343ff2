"""The gRPC server of a gateway: its port, TLS and limits, start and stop."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web

from common.atomic import file_signature
from common.errors import TimbreError
from service.api.authentication import AUTHENTICATOR
from service.api.context import BODY_BUDGET, GATEWAY
from service.api.open_inference import OPEN_INFERENCE
from service.grpc_api.calls import MAX_METADATA, MAX_PROBES, Calls
from service.grpc_api.health import Health
from service.grpc_api.methods import Methods
from service.hosts import bracketed
from service.log import log
from service.settings import Settings

HANDSHAKE_S = 10.0
"""Seconds in which a new connection must have said that it is one, TLS included."""
IDLE_S = 300.0
"""Seconds without a call after which a connection is closed; clients open another by themselves."""
BEING_REJECTED = 64
"""Calls past the bounds whose rejection is on its way; yet more are rejected by gRPC itself."""
PING_S = 20.0
PING_TIMEOUT_S = 10.0
"""A connection with calls whose peer answers no ping is closed."""


class GrpcServer:
    """Serves the Open Inference Protocol and health checks over gRPC."""

    def __init__(self, app: web.Application) -> None:
        """Bind the port, in a running loop. Raises OSError when it is in use."""
        gateway, open_inference = app[GATEWAY], app[OPEN_INFERENCE]
        settings = gateway.settings
        calls = Calls(settings, gateway, app.get(AUTHENTICATOR), app[BODY_BUDGET])
        self._settings = settings
        self._server = grpc.aio.server(
            options=_options(settings),
            # Those past our own bounds are rejected by us, with a text and a line in the log.
            maximum_concurrent_rpcs=settings.max_connections + MAX_PROBES + BEING_REJECTED,
        )
        methods, health = Methods(gateway, open_inference, calls), Health(gateway, calls)
        self._server.add_generic_rpc_handlers((methods.handlers(), health.handlers()))
        self.port: int = self._bind(f"{bracketed(settings.host or '::')}:{settings.grpc_port}")
        """The port, also where the settings leave it open."""

    def _bind(self, address: str) -> int:
        settings = self._settings
        try:
            if settings.tls_key:
                credentials = _credentials(settings.tls_certificate, settings.tls_key)
                port: int = self._server.add_secure_port(address, credentials)
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            # gRPC logs the cause, and does not tell it.
            number = errno.EADDRINUSE
            raise OSError(number, os.strerror(number), f"{address} for gRPC") from error
        return port

    async def start(self) -> None:
        """Accept calls."""
        await self._server.start()

    async def stop(self, grace: float | None = None) -> None:
        """Accept no more calls, and return once those in progress have ended, or been ended.

        grace: seconds until they are ended; by default those of the settings.
        """
        await self._server.stop(self._settings.grace if grace is None else grace)


def _options(settings: Settings) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.grpc_max_message),
        ("grpc.max_send_message_length", -1),
        # gRPC would unpack a small message to a huge one; `messages.unpack` has a bound.
        ("grpc.per_message_decompression", 0),
        # A port that another server has must not be shared with it unnoticed.
        ("grpc.so_reuseport", int(settings.gateways > 1)),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        # Above ours, which is exact; gRPC rejects by chance what lies between these two.
        ("grpc.max_metadata_size", 2 * MAX_METADATA),
        ("grpc.absolute_max_metadata_size", 2 * MAX_METADATA),
        ("grpc.server_handshake_timeout_ms", round(1e3 * HANDSHAKE_S)),
        ("grpc.max_connection_idle_ms", round(1e3 * IDLE_S)),
        ("grpc.keepalive_time_ms", round(1e3 * PING_S)),
        ("grpc.keepalive_timeout_ms", round(1e3 * PING_TIMEOUT_S)),
        # What is not read yet stays small, however fast the network is.
        ("grpc.http2.bdp_probe", 0),
    ]


def _credentials(certificate: str, key: str) -> grpc.ServerCredentials:
    """Return credentials that are read again when their files change."""
    files = (Path(certificate), Path(key))
    last = _signatures(files)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Return what new connections use; None: what they used before."""
        nonlocal last
        try:
            now = _signatures(files)
            if now == last:
                return None
            last = now
            return _configuration(files)
        except (OSError, ValueError, TimbreError) as error:
            log("certificate not reloaded for gRPC", why=error)
            return None

    return grpc.dynamic_ssl_server_credentials(
        _configuration(files), fetch, require_client_authentication=False
    )


def _signatures(files: tuple[Path, Path]) -> list[Any]:
    return [file_signature(path.stat()) for path in files]


def _configuration(files: tuple[Path, Path]) -> grpc.ServerCertificateConfiguration:
    certificate, key = files
    return grpc.ssl_server_certificate_configuration([(key.read_bytes(), certificate.read_bytes())])
