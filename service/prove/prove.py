"""Proves that the ways through servers give the scores of this process, way by way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError, TimbreError
from features.file_kinds import is_picture, is_sound
from service.client import Client
from service.prove import ways
from service.prove.case import Case, case_of, names_that_take
from service.prove.comparison import Found, Verdict, compare
from service.prove.own_server import running

Way = Callable[[Case, Client], Awaitable[Found]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is proved, and through which servers."""

    path: Path
    artefacts: Path
    models: tuple[str, ...] = ()
    """Names; none: the first of every kind of input that takes the file."""
    url: str = ""
    """A server that runs; empty: one is started."""
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
        servers = {"": options.url}
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
    case: Case, servers: Mapping[str, str], options: Options
) -> AsyncIterator[Verdict]:
    for suffix, url in servers.items():
        client = Client(url, options.token, authorities=options.authorities)
        yield await _tried(f"REST{suffix}", ways.rest, case, client)
        if case.is_sound:
            yield await _tried(f"stream{suffix}", ways.stream, case, client, padded=case.padded)


async def _tried(
    name: str, way: Way, case: Case, client: Client, *, padded: int | None = None
) -> Verdict:
    """Return how a way compares; its error is what differs. padded: a window it may lack."""
    try:
        found = await way(case, client)
    except TimbreError as error:
        return Verdict(way=name, troubles=(f"{error.title}: {error}",))
    return compare(name, found, case.classified, spans=case.seconds, padded=padded)
