"""Servers of other kinds: how each is started, asked, and how much code it takes.

Every one serves the forest that is shipped, features in and scores out, in one process that runs
the model; or, of clips, a sound file in and scores out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import server_process
from benchmarks.comparisons import environment
from benchmarks.comparisons.environment import PEERS
from common.atomic import write_atomic
from common.errors import TimbreError
from common.strict_json import to_json
from models.store import DEFAULT_PATH, Store

MODEL = "instruments-forest"
START_S = 240.0
"""Librosa compiles itself at its first use in an environment."""


class Server(NamedTuple):
    """A server that runs."""

    url: str
    pid: int
    start_s: float
    """From the start of the process until it answered its readiness."""


class Kind(NamedTuple):
    """A kind of server."""

    name: str
    pins: str
    """Of its environment, `peers/PINS.txt`."""
    command: Callable[[str, Path, int, Path], list[str]]
    """From its python, the graph, a port and an empty folder of its own."""
    path: str
    """Of the request."""
    body: Callable[[], bytes]
    ready: str = "/readyz"
    program: str = ""
    """What a user writes, in `peers/`."""


def graph() -> Path:
    """Return the graph that all serve."""
    return DEFAULT_PATH / MODEL / Store().versions(MODEL)[-1] / "model.onnx"


def row() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the features of the request."""
    return np.random.default_rng(1).standard_normal(26).astype(np.float32)


def tensor_json() -> bytes:
    """Return a request of the Open Inference Protocol."""
    values = row()
    tensor = {"name": "features", "shape": [1, len(values)], "datatype": "FP32"}
    return to_json({"inputs": [{**tensor, "data": values.tolist()}]}).encode()


def plain_json() -> bytes:
    """Return the features alone, as servers without a protocol of their own take them."""
    return to_json({"features": [row().tolist()]}).encode()


def post(path: str, body: bytes, headers: str = "Content-Type: application/json\r\n") -> bytes:
    """Return a request as it is sent."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _mlserver(python: str, graph: Path, port: int, folder: Path) -> list[str]:
    """Write the two files of settings that MLServer reads."""
    model = {"name": MODEL, "implementation": "mlserver_model.Scores"}
    ports = {"http_port": port, "grpc_port": server_process.free_port()}
    # Without parallel workers the model runs in the process of the server: the faster choice.
    settings = {**ports, "metrics_port": server_process.free_port(), "parallel_workers": 0}
    write_atomic(
        folder / "model-settings.json", to_json({**model, "parameters": {"uri": str(graph)}})
    )
    write_atomic(folder / "settings.json", to_json({**settings, "host": "127.0.0.1"}))
    return [str(Path(python).with_name("mlserver")), "start", str(folder)]


def _deepaas(python: str, _graph: Path, port: int, folder: Path) -> list[str]:
    """Write the entry point by which DEEPaaS finds a model."""
    about = folder / "scores-1.dist-info"
    about.mkdir()
    write_atomic(about / "METADATA", "Metadata-Version: 2.1\nName: scores\nVersion: 1\n")
    write_atomic(about / "entry_points.txt", "[deepaas.v2.model]\nscores = deepaas_model\n")
    run = "import sys; sys.path.append(sys.argv.pop(1)); from deepaas.cmd.run import main; main()"
    listening = ["--listen-ip", "127.0.0.1", "--listen-port", str(port)]
    return [python, "-c", run, str(folder), *listening]


def _script(program: str) -> Callable[[str, Path, int, Path], list[str]]:
    return lambda python, graph, port, _: [python, str(PEERS / program), str(graph), str(port)]


FASTAPI = Kind(
    "FastAPI + ONNX Runtime",
    "fastapi",
    _script("fastapi_server.py"),
    f"/v2/models/{MODEL}/infer",
    tensor_json,
    program="fastapi_server.py",
)
LITSERVE = Kind(
    "LitServe",
    "litserve",
    _script("litserve_server.py"),
    "/predict",
    plain_json,
    ready="/health",
    program="litserve_server.py",
)
BENTOML = Kind(
    "BentoML",
    "bentoml",
    lambda python, _graph, port, _folder: [
        *(python, "-m", "bentoml", "serve", "bentoml_server:Scores"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ],
    "/infer",
    plain_json,
    program="bentoml_server.py",
)
MLSERVER = Kind(
    "MLServer",
    "mlserver",
    _mlserver,
    f"/v2/models/{MODEL}/infer",
    tensor_json,
    ready="/v2/health/ready",
    program="mlserver_model.py",
)


RAY = Kind(
    "Ray Serve",
    "ray",
    _script("ray_server.py"),
    "/predict",
    plain_json,
    ready="/-/healthz",
    program="ray_server.py",
)
DEEPAAS = Kind(
    "DEEPaaS",
    "deepaas",
    _deepaas,
    "/v2/models/scores/predict/",
    lambda: to_json({"features": to_json([row().tolist()])}).encode(),
    ready="/v2/models/",
    program="deepaas_model.py",
)


@contextmanager
def started(kind: Kind) -> Iterator[Server]:
    """Give a server once it is ready. Raises TimbreError if it does not install or start."""
    python = environment.python_of(kind.pins)
    port = server_process.free_port()
    variables = {
        **os.environ,
        **environment.ONE_THREAD,
        "GRAPH": str(graph()),
        "PYTHONPATH": str(PEERS),
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as words:
        command = kind.command(python, graph(), port, Path(folder))
        begin = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - own script
            command, cwd=PEERS, env=variables, stdout=words, stderr=words, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            if not server_process.ready(url, process, path=kind.ready, within_s=START_S):
                words.seek(0)
                last = (words.read().strip().splitlines() or ["no output"])[-1]
                raise TimbreError(f"its server did not get ready: {last}")
            yield Server(url, process.pid, time.monotonic() - begin)
        finally:
            # With its workers, of which some leave its group.
            workers = server_process.children(process.pid)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def timbre(model: str = MODEL) -> Iterator[Server]:
    """Give a server of ours with one model."""
    begin = time.monotonic()
    with server_process.served(["--set", f"models={model}"]) as (url, pid):
        yield Server(url, pid, time.monotonic() - begin)
