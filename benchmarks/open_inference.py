"""Features in, scores out: the Open Inference Protocol beside FastAPI with ONNX Runtime.

The same graph, the forest that is shipped, and the same JSON from 100 clients that each wait for
their response. Both servers are one process and run by turns, so that other work on the machine
slows both. The load comes from this process, on the same cores.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks import server_process
from common.errors import TimbreError
from common.strict_json import to_json
from models.store import DEFAULT_PATH, Store

TITLE = "Features in, scores out, 100 clients: Timbre beside FastAPI + ONNX Runtime"
MODEL = "instruments-forest"
CLIENTS = 100
TIMES = 1.5
"""How many times the requests a second of FastAPI are wanted, at a lower p99."""
OURS, BYTES, PEER = "Timbre", "Timbre, binary tensors", "FastAPI + ONNX Runtime"
ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return a row for each server: requests_s, p50_ms, p99_ms, cpu_ms per request, and ratios.

    ratio: of the requests a second to those of FastAPI in the same round, the median; p10, p90.
    """
    rounds, requests = (1, 200) if tiny else (7, 4_000)
    with ExitStack() as stack:
        ours = stack.enter_context(server_process.served(["--set", f"models={MODEL}"]))
        peer = stack.enter_context(_peer())
        subjects = {OURS: (*ours, _json()), BYTES: (*ours, _binary()), PEER: (*peer, _json())}
        found: dict[str, list[list[float]]] = {name: [] for name in subjects}
        for url, _, request in subjects.values():
            asyncio.run(_load(url, request, requests // 4))
        for _ in range(rounds):
            for name, (url, pid, request) in subjects.items():
                found[name].append(_measured(url, pid, request, requests))
    medians = {name: np.median(values, axis=0) for name, values in found.items()}
    return [
        {
            "name": name,
            "requests_s": float(rate),
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "cpu_ms": float(cpu),
            **_ratios(found[name], found[PEER]),
        }
        for name, (rate, p50, p99, cpu) in medians.items()
    ]


def _ratios(mine: list[list[float]], theirs: list[list[float]]) -> dict[str, float]:
    found = [one[0] / other[0] for one, other in zip(mine, theirs, strict=True)]
    p10, median, p90 = np.percentile(found, (10, 50, 90)).tolist()
    return {"ratio": median, "ratio_p10": p10, "ratio_p90": p90}


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    rows = {row["name"]: row for row in table}
    ours, peer = rows[OURS], rows[PEER]
    missed = []
    if ours["ratio"] < TIMES:
        missed.append(f"{ours['ratio']:.2f} times the requests of FastAPI, budget {TIMES}")
    if ours["p99_ms"] > peer["p99_ms"]:
        missed.append(f"p99 {ours['p99_ms']:.1f} ms, that of FastAPI {peer['p99_ms']:.1f} ms")
    return missed


def _measured(url: str, pid: int, request: bytes, count: int) -> list[float]:
    before, begin = server_process.cost(pid)[0], time.perf_counter()
    ms = asyncio.run(_load(url, request, count))
    seconds, cpu = time.perf_counter() - begin, server_process.cost(pid)[0] - before
    return [count / seconds, *np.percentile(ms, (50, 99)).tolist(), 1e3 * cpu / count]


def _json() -> bytes:
    row = _row()
    tensor = {"name": "features", "shape": [1, len(row)], "datatype": "FP32"}
    return _post(to_json({"inputs": [{**tensor, "data": row.tolist()}]}).encode())


def _binary() -> bytes:
    raw = _row().tobytes()
    tensor = {
        "name": "features",
        "shape": [1, len(raw) // 4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(raw)},
    }
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    text = to_json(document).encode()
    return _post(text + raw, f"Inference-Header-Content-Length: {len(text)}\r\n")


def _row() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(1).standard_normal(26).astype(np.float32)


def _post(body: bytes, headers: str = "Content-Type: application/json\r\n") -> bytes:
    return (
        f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def _load(url: str, request: bytes, count: int) -> list[float]:
    """Send `count` requests from CLIENTS connections; return the ms of each response."""
    host, _, port = url.removeprefix("http://").partition(":")
    ms: list[float] = []
    left = iter(range(count))
    loop = asyncio.get_running_loop()
    clients = [_Client(request, left, ms) for _ in range(CLIENTS)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, host, int(port))  # type: ignore[misc]
    for client in clients:
        client.send()
    await asyncio.gather(*(client.done for client in clients))
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
        if not end or len(body) < _length(head):
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


def _length(head: bytes) -> int:
    found = head.lower().split(b"content-length:", 1)[1]
    return int(found.split(b"\r\n", 1)[0])


@contextmanager
def _peer() -> Iterator[tuple[str, int]]:
    """Give address and process id of the server of FastAPI. Raises TimbreError without it."""
    made = subprocess.run(  # noqa: S603 - own script
        [ROOT / "tools/peer-environment", PEERS / "fastapi.txt"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable},
    )
    if made.returncode:
        raise TimbreError("the environment of FastAPI cannot be made")
    graph = DEFAULT_PATH / MODEL / Store().versions(MODEL)[-1] / "model.onnx"
    port = str(server_process.free_port())
    command = [made.stdout.strip(), str(PEERS / "fastapi_server.py"), str(graph), port]
    server = subprocess.Popen(command)  # noqa: S603 - own script
    try:
        url = f"http://127.0.0.1:{port}"
        if not server_process.ready(url, server):
            raise TimbreError("the server of FastAPI did not get ready")
        yield url, server.pid
    finally:
        server.terminate()
        server.wait(20)
