"""gRPC's health checks, `grpc.health.v1.Health`, as Kubernetes probes ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from common.errors import InputError, Leaving, NotFound, TimbreError
from service.grpc_api.calls import Access, Calls, Context
from service.grpc_api.schema import HEALTH_CLASSES, SERVICE
from service.inference.gateway import Gateway

HEALTH = "grpc.health.v1.Health"
KNOWN = ("", SERVICE, HEALTH)
"""Services that can be asked for; empty: the server."""
WATCH_S = 1.0
"""Seconds between two looks at what a client watches."""
PROBE = Access(is_probe=True)
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class Health:
    """Whether the server takes requests."""

    def __init__(self, gateway: Gateway, calls: Calls) -> None:
        self._gateway, self._calls = gateway, calls

    def handlers(self) -> Any:
        """Return the service as gRPC takes it."""
        return grpc.method_handlers_generic_handler(
            HEALTH,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self._check),
                "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            },
        )

    async def _check(self, data: bytes, context: Context) -> bytes:
        async with self._calls.around("Check", context, PROBE):
            service = _service(data)
            if service not in KNOWN:
                raise NotFound(f"no service {service!r:.80}; there is {', '.join(KNOWN[1:])}")
            return self._status(service)

    async def _watch(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        """Tell the status now and at every change, until the server leaves or the client does."""
        async with self._calls.around("Watch", context, PROBE):
            service, told = _service(data), b""
            while True:
                status = self._status(service)
                if status != told:
                    yield status
                told = status
                if self._is_leaving():
                    return
                await asyncio.sleep(WATCH_S)

    def _is_leaving(self) -> bool:
        try:
            self._gateway.check_ready()
        except TimbreError as error:
            return isinstance(error, Leaving)
        return False

    def _status(self, service: str) -> bytes:
        serving = SERVING if self._gateway.ready else NOT_SERVING
        status = serving if service in KNOWN else SERVICE_UNKNOWN
        data: bytes = HEALTH_CLASSES["HealthCheckResponse"](status=status).SerializeToString()
        return data


def _service(data: bytes) -> str:
    """Return the service that is asked for. Raises InputError."""
    try:
        name: str = HEALTH_CLASSES["HealthCheckRequest"].FromString(data).service
    except DecodeError:
        raise InputError("the message is no HealthCheckRequest") from None
    return name
