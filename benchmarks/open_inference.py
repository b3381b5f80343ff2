"""Features in, scores out: the Open Inference Protocol beside FastAPI with ONNX Runtime.

The same graph, the forest that is shipped, and the same JSON from 1, 10 and 100 clients that each
wait for their response. Both servers are one process and run by turns, so that other work on the
machine slows both. The load comes from this process, on the same cores.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks.comparisons import server_load, servers
from benchmarks.comparisons.environment import PEERS, lines_of
from common.errors import TimbreError
from common.strict_json import to_json

TITLE = "Features in, scores out: Timbre beside FastAPI + ONNX Runtime"
CLIENTS = 100
"""Of those for which the aims hold."""
TIMES = {servers.FASTAPI.name: 1.5}
MODEL_SERVER_TIMES = 4.0
"""How many times the requests a second of each are wanted, at a lower p99."""
OURS, BYTES, WHAT = "Timbre", "Timbre, binary", "tensors"
KINDS = (servers.FASTAPI,)
FULL: dict[str, Any] = {"rounds": 5, "requests": 3_000, "clients": [1, 10, 100]}
TINY: dict[str, Any] = {"rounds": 1, "requests": 100, "clients": [1, 10]}


def run(*, tiny: bool = False, kinds: tuple[servers.Kind, ...] = KINDS) -> list[dict[str, Any]]:
    """Return the rows of `server_load.table`; one with `gap` for a server that does not start."""
    given = TINY if tiny else FULL
    gaps = []
    with ExitStack() as stack:
        ours = stack.enter_context(servers.timbre())
        path = f"/v2/models/{servers.MODEL}/infer"
        subjects = {
            OURS: server_load.Subject(ours, servers.post(path, servers.tensor_json()), 0),
            BYTES: server_load.Subject(ours, _binary(path), 0),
        }
        for kind in kinds:
            try:
                server = stack.enter_context(servers.started(kind))
            except TimbreError as error:
                gaps.append({"name": kind.name, "gap": str(error)})
                continue
            subjects[kind.name] = server_load.Subject(
                server, servers.post(kind.path, kind.body()), lines_of([PEERS / kind.program])
            )
        return server_load.table(subjects, ours=OURS, what=WHAT, **given) + gaps


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    rows = {row["name"]: row for row in table if row.get("clients") == CLIENTS}
    missed = []
    for name, row in rows.items():
        if name in {OURS, BYTES}:
            continue
        least = TIMES.get(name, MODEL_SERVER_TIMES)
        if row["ratio"] < least:
            missed.append(f"{row['ratio']:.2f} times the requests of {name}, budget {least}")
        if rows[OURS]["p99_ms"] > row["p99_ms"]:
            missed.append(
                f"p99 {rows[OURS]['p99_ms']:.1f} ms, that of {name} {row['p99_ms']:.1f} ms"
            )
    return missed


def _binary(path: str) -> bytes:
    raw = servers.row().tobytes()
    tensor = {
        "name": "features",
        "shape": [1, len(raw) // 4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(raw)},
    }
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    text = to_json(document).encode()
    return servers.post(path, text + raw, f"Inference-Header-Content-Length: {len(text)}\r\n")
