"""Proves that the ways through servers give the scores of this process, way by way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from common.errors import InputError, TimbreError
from features.file_kinds import is_picture, is_sound
from service.client import Client
from service.prove import ways
from service.prove.case import Case, case_of, names_that_take
from service.prove.comparison import Found, Verdict, compare
from service.prove.open_inference import over_grpc, over_http
from service.prove.own_server import Server, running

Way = Callable[[], Awaitable[Found]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is proved, and through which servers."""

    path: Path
    artefacts: Path
    models: tuple[str, ...] = ()
    """Names; none: the first of every kind of input that takes the file."""
    url: str = ""
    """A server that runs; empty: one is started."""
    grpc: str = ""
    """HOST:PORT of its gRPC; empty: that way is left out."""
    redis: str = ""
    """Also start a server with this Redis, and a worker."""
    hop: float | None = None
    """Seconds between the windows of a sound; None: that of a stream."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of a picture."""
    token: str | None = None
    authorities: str | None = None
    """PEM file of certificates to trust."""


@dataclass(frozen=True)
class Proof:
    """One model, and how each way compares."""

    case: Case
    verdicts: tuple[Verdict, ...]


async def prove(options: Options) -> AsyncIterator[Proof]:
    """Yield the proof of each model. Raises TimbreError when nothing can be compared."""
    _check_file(options.path)
    names = options.models or tuple(_names(options))
    async with AsyncExitStack() as stack:
        servers = {"": Server(options.url, options.grpc)}
        if not options.url:
            started = running(options.artefacts, names)
            servers = {"": await stack.enter_async_context(started)}
        if options.redis:
            started = running(options.artefacts, names, redis=options.redis)
            servers[", through Redis"] = await stack.enter_async_context(started)
        for name in names:
            async with case_of(
                options.path,
                name,
                artefacts=options.artefacts,
                hop=options.hop,
                metadata=options.metadata,
            ) as case:
                yield Proof(case, tuple([each async for each in _verdicts(case, servers, options)]))


def _check_file(path: Path) -> None:
    """Raise InputError for what is no readable file."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _names(options: Options) -> list[str]:
    path = options.path
    if not (is_sound(path) or is_picture(path)):
        raise InputError(f"{path} is neither a sound nor a picture by its name or first bytes")
    names = names_that_take(path, options.artefacts)
    if not names:
        raise InputError(f"no model in {options.artefacts} takes {path.name}")
    return names


async def _verdicts(
    case: Case, servers: Mapping[str, Server], options: Options
) -> AsyncIterator[Verdict]:
    for suffix, server in servers.items():
        client = Client(server.url, options.token, authorities=options.authorities)
        compared = partial(_compared, case)
        yield await compared(f"REST{suffix}", partial(ways.rest, case, client))
        if case.is_sound:
            yield await compared(
                f"stream{suffix}", partial(ways.stream, case, client), padded=case.padded
            )
        yield await compared(f"/v2{suffix}", partial(over_http, case, client), tensors=True)
        if server.grpc:
            call = partial(over_grpc, case, server.grpc, options.token, roots=_roots(options))
            yield await compared(f"/v2 by gRPC{suffix}", call, tensors=True)


def _roots(options: Options) -> bytes | None:
    """Return the certificates that gRPC trusts, empty for the system's; None: without TLS."""
    if options.authorities:
        return Path(options.authorities).read_bytes()
    return b"" if options.url.startswith(("https:", "wss:")) else None


async def _compared(
    case: Case, name: str, way: Way, *, padded: int | None = None, tensors: bool = False
) -> Verdict:
    """Return how a way compares; its error is what differs.

    padded: a window that it may lack. tensors: it was sent those, and gives the scores unrounded.
    """
    try:
        found = await way()
    except TimbreError as error:
        return Verdict(way=name, troubles=(f"{error.title}: {error}",))
    reference = case.computed if tensors else case.classified
    return compare(name, found, reference, spans=case.seconds, padded=padded)
