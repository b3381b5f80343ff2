"""Requests from clients that each wait for their response, to several servers by turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from benchmarks import measure, server_process
from benchmarks.comparisons.servers import Server
from common.errors import TimbreError

LAST_CHUNK = b"0\r\n\r\n"
"""Of a response without a length."""


class Subject(NamedTuple):
    """A server and the request that it gets."""

    server: Server
    request: bytes
    lines: int | None = None
    """Of code that a user writes."""


def table(
    subjects: Mapping[str, Subject],
    *,
    ours: str,
    what: str,
    clients: list[int],
    rounds: int,
    requests: int,
) -> list[dict[str, Any]]:
    """Return a row for each server and number of clients.

    what, name, clients, requests_s, p50_ms, p99_ms, cpu_ms (of a request), start_s, mib, lines;
    ratio: the time of its requests over that of `ours`, the median of the rounds, and quartiles.
    requests: in a round at most, of one client a tenth.
    """
    rows: list[dict[str, Any]] = []
    for subject in subjects.values():
        asyncio.run(load(subject.server.url, subject.request, requests // 4, max(clients)))
    for count in clients:
        found: dict[str, list[list[float]]] = {name: [] for name in subjects}
        for _ in range(rounds):
            for name, subject in subjects.items():
                found[name].append(_measured(subject, sent(requests, count), count))
        rows += [
            {"what": what, "name": name, "clients": count}
            | _row(values, found[ours], subjects[name])
            for name, values in found.items()
        ]
    return rows


def _row(values: list[list[float]], base: list[list[float]], subject: Subject) -> dict[str, Any]:
    rate, p50, p99, cpu = np.median(values, axis=0).tolist()
    low, ratio, high = measure.quartiles(
        [ours[0] / one[0] for one, ours in zip(values, base, strict=True)]
    )
    return {
        "requests_s": rate,
        "p50_ms": p50,
        "p99_ms": p99,
        "cpu_ms": cpu,
        "ratio": ratio,
        "ratio_p25": low,
        "ratio_p75": high,
        "rounds": len(values),
        "start_s": subject.server.start_s,
        "mib": server_process.cost(subject.server.pid)[1],
        "lines": subject.lines,
    }


def sent(requests: int, clients: int) -> int:
    """Return the requests of a round: of few clients fewer, for they take longer."""
    return max(clients, requests * min(clients, 10) // 10)


def _measured(subject: Subject, count: int, clients: int) -> list[float]:
    """Return requests a second, p50 and p99 in ms, and ms of processor time of a request."""
    pid = subject.server.pid
    before, begin = server_process.cost(pid)[0], time.perf_counter()
    ms = asyncio.run(load(subject.server.url, subject.request, count, clients))
    seconds, cpu = time.perf_counter() - begin, server_process.cost(pid)[0] - before
    return [count / seconds, *np.percentile(ms, (50, 99)).tolist(), 1e3 * cpu / count]


async def load(url: str, request: bytes, count: int, clients: int) -> list[float]:
    """Send `count` requests from so many connections; return the ms of each response.

    Raises TimbreError when a response is not 200, with its text.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    ms: list[float] = []
    left = iter(range(count))
    loop = asyncio.get_running_loop()
    some = [_Client(request, left, ms) for _ in range(clients)]
    for client in some:
        await loop.create_connection(lambda client=client: client, host, int(port))  # type: ignore[misc]
    for client in some:
        client.send()
    await asyncio.gather(*(client.done for client in some))
    return ms


class _Client(asyncio.Protocol):
    """One connection that sends its next request when it has a response."""

    def __init__(self, request: bytes, left: Iterator[int], ms: list[float]) -> None:
        self._request, self._left, self._ms = request, left, ms
        self._received = b""
        self._begin = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or not _is_whole(head, body):
            return
        if b" 200 " not in head[:20]:
            self.done.set_exception(TimbreError(self._received[:500].decode(errors="replace")))
            self._transport.close()
            return
        self._ms.append(1e3 * (time.perf_counter() - self._begin))
        self._received = b""
        self.send()

    def send(self) -> None:
        """Send a request, or close the connection when none is left."""
        if next(self._left, None) is None:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        self._begin = time.perf_counter()
        self._transport.write(self._request)


def _is_whole(head: bytes, body: bytes) -> bool:
    _, stated, found = head.lower().partition(b"content-length:")
    if not stated:
        return body.endswith(LAST_CHUNK)
    return len(body) >= int(found.split(b"\r\n", 1)[0])
