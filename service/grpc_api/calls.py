"""Around every call: its id, key and limits, its message, one log line, and errors as statuses."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from common.budget import Budget
from common.errors import (
    Busy,
    InputError,
    Late,
    Leaving,
    NotAllowed,
    TimbreError,
    TooLarge,
    TooMany,
    Unauthorised,
)
from service.api.authentication import Authenticator, require_scope
from service.api.local_admin import FORWARDING_HEADERS, FORWARDING_PREFIXES
from service.auth.keys import Scope
from service.auth.limits import KeyLimits
from service.grpc_api.call_trace import begin_call, end_call
from service.grpc_api.messages import is_small, most_bytes, parse
from service.grpc_api.schema import Message
from service.inference.gateway import Gateway
from service.log import bound, log, redact, reference, unexpected
from service.settings import Settings, is_loopback
from service.tracing.spans import Span, current, read_traceparent, trace_details

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handle: TypeAlias = "Callable[[Message, Call], Awaitable[Message]]"
Admit: TypeAlias = Callable[[], AbstractContextManager[None]]
REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
STATUSES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""By the status that HTTP has for the same error; of others, INTERNAL."""
MAX_METADATA, PAIR = 16 * 2**10, 32
"""Bytes of a call's metadata, and those that HTTP/2 counts for a pair beside its texts."""
MAX_PROBES = 256
"""In progress at one time: they need no key, and one that watches goes on for hours."""
FORWARDING = frozenset(name.lower() for name in FORWARDING_HEADERS)


@dataclass(frozen=True)
class Access:
    """Who may call a method."""

    scope: Scope | None = None
    """That a key needs; None: any key will do."""
    is_probe: bool = False
    """Whether it needs no key, for it reveals nothing; such calls are not logged."""


@dataclass(frozen=True)
class Call:
    """One call in progress."""

    context: Context
    limits: KeyLimits | None
    """Of its key; None without keys."""

    @property
    def client(self) -> str:
        """Who calls: the id of the key, or else the address."""
        peer: str = self.context.peer()
        return self.limits.key.id if self.limits else peer.partition(":")[2].rpartition(":")[0]

    @property
    def left_s(self) -> float | None:
        """Seconds until the client's deadline; None without one."""
        left: float | None = self.context.time_remaining()
        return left


class Calls:
    """What the methods share."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        authenticator: Authenticator | None,
        memory: Budget,
    ) -> None:
        """authenticator: None without keys. memory: bytes of all messages that are answered."""
        self._settings = settings
        self._gateway = gateway
        self._authenticator = authenticator
        self._memory = memory
        self._open = Budget(
            settings.max_connections, "gRPC calls are in progress on this gateway", error=TooMany
        )
        self._probes = Budget(
            MAX_PROBES, "gRPC health checks are in progress on this gateway", error=TooMany
        )

    def unary(
        self, method: str, access: Access, handle: Handle, *, admit: Admit = nullcontext
    ) -> Any:
        """Return the handler of a method with one request and one response.

        admit: counts the call before its message is read. Raises when there are too many.
        """

        # Read here, not by gRPC before: by then the call is admitted.
        async def answer(_: object, context: Context) -> bytes:
            async with (
                self.around(method, context, access) as call,
                self._admitted_message(f"{method}Request", context, admit) as request,
            ):
                response = await handle(request, call)
                return bytes(response.SerializeToString())

        return grpc.stream_unary_rpc_method_handler(answer)

    @asynccontextmanager
    async def around(self, method: str, context: Context, access: Access) -> AsyncIterator[Call]:
        """Admit a call, trace and log it, and send its error as a status."""
        span = self._identify(method, context, access)
        begin, told, key = time.perf_counter(), "CANCELLED", {}
        failed: TimbreError | None = None
        try:
            with (self._probes if access.is_probe else self._open).hold():
                _check_metadata(context.invocation_metadata() or ())
                limits = await self._admitted(context, access)
                key = {"key": limits.key.id} if limits else {}
                yield Call(context, limits)
                told = "OK"
        except Exception as error:  # noqa: BLE001 - a fault is a status, it ends nothing
            failed = error if isinstance(error, TimbreError) else unexpected(error)
            code = STATUSES.get(failed.status, grpc.StatusCode.INTERNAL)
            told = code.name
            # It raises what ends the call.
            await context.abort(code, redact(str(failed)), _trailing(failed))
        finally:
            seconds = time.perf_counter() - begin
            metrics = self._gateway.metrics
            metrics.requests.add(f"grpc:{method}", "", told)
            metrics.request_seconds.observe(seconds, f"grpc:{method}")
            if not access.is_probe:
                log("gRPC", method=method, status=told, ms=1e3 * seconds, **key)
            if span is not None:
                end_call(span, told, failed)

    def _identify(self, method: str, context: Context, access: Access) -> Span | None:
        """Give the call an id, bind it for log lines, and return its span if it is traced."""
        metadata = dict(context.invocation_metadata() or ())
        sent = str(metadata.get("x-request-id", ""))
        id_ = sent if REQUEST_ID.fullmatch(sent) else self._gateway.new_id()
        caller = read_traceparent(str(metadata.get("traceparent", "")))
        tracer = None if access.is_probe else self._gateway.tracer
        span = None if tracer is None else begin_call(tracer, method, caller, id_=id_)
        # Never reset: a call has a context of its own, and its end may run in another.
        reference.set(id_)
        bound.set(trace_details(span.context if span else caller))
        current.set(span)
        return span

    @asynccontextmanager
    async def _admitted_message(
        self, kind: str, context: Context, admit: Admit
    ) -> AsyncIterator[Message]:
        """Read a message of a kind. Raises InputError and its subclasses, Busy, Late, Leaving."""
        with admit():
            data = await self._received(kind, context)
            async with self.parsed(kind, data) as request:
                yield request

    async def _received(self, kind: str, context: Context) -> bytes:
        """Read a message. Raises InputError, and Late when it does not arrive in time."""
        seconds = self._settings.body_timeout
        try:
            async with asyncio.timeout(seconds):
                data = await context.read()
        except TimeoutError:
            raise Late(f"the message did not arrive within {seconds:g} s") from None
        if not isinstance(data, bytes):
            raise InputError(f"the call has no message; a {kind} is needed")
        return data

    @asynccontextmanager
    async def parsed(self, kind: str, data: bytes) -> AsyncIterator[Message]:
        """Take a message apart, in a thread if it is large, within the bound of memory.

        Raises InputError, TooLarge, Busy.
        """
        limit = self._settings.grpc_max_message
        with self._memory.hold(most_bytes(data, limit=limit)):
            if is_small(data):
                yield parse(kind, data, limit=limit)
            else:
                yield await asyncio.to_thread(parse, kind, data, limit=limit)

    async def _admitted(self, context: Context, access: Access) -> KeyLimits | None:
        """Return the limits of a call's key. Raises Unauthorised, NotAllowed, TooMany."""
        if access.is_probe:
            return None
        metadata = context.invocation_metadata() or ()
        if self._authenticator is None:
            if access.scope == "admin":
                self._check_local([name.lower() for name, _ in metadata])
            return None
        sent = [value for name, value in metadata if name.lower() == "authorization"]
        scheme, _, text = str(sent[0]).partition(" ") if len(sent) == 1 else ("", "", "")
        limits = await self._authenticator.limits_of(
            text.strip() if scheme.lower() == "bearer" else None
        )
        await limits.count_request()
        require_scope(limits.key, access.scope)
        return limits

    def _check_local(self, names: list[str]) -> None:
        """Raise NotAllowed for administration from elsewhere than this machine."""
        if not is_loopback(self._settings.host):
            raise NotAllowed("without API keys this method is served only on a loopback address")
        found = [
            name for name in names if name in FORWARDING or name.startswith(FORWARDING_PREFIXES)
        ]
        if found:
            raise NotAllowed(
                "without API keys this method accepts only direct local calls;"
                f" found the metadata {found[0]!r:.80}"
            )


def _check_metadata(pairs: Iterable[tuple[str, str | bytes]]) -> None:
    """Raise TooLarge. gRPC checks it too, but only of clients that have acknowledged its bound."""
    size = sum(len(name) + len(value) + PAIR for name, value in pairs)
    if size > MAX_METADATA:
        raise TooLarge(f"the metadata has {size} bytes; at most {MAX_METADATA} are accepted")


def _trailing(error: TimbreError) -> tuple[tuple[str, str], ...]:
    """Return what is sent with an error, as HTTP has it in headers."""
    trailing = [("x-request-id", reference.get())]
    if isinstance(error, Busy | Leaving):
        trailing.append(("retry-after", str(error.retry_after)))
    if isinstance(error, Unauthorised):
        trailing.append(("www-authenticate", 'Bearer realm="timbre"'))
    return tuple(trailing)
