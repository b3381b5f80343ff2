"""A picture by REST beside the bare ONNX Runtime call: overhead and throughput.

A network of 0.33 billion multiplications a picture, as many as MobileNetV2 has; a server in a
process of its own; JPEGs of 320 x 240 from clients in this process, on the same cores. The bare
call is the same graph on one thread, as there.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt

from benchmarks import measure
from benchmarks.server_process import served
from features.config import PictureConfig

TITLE = "A picture by REST beside the bare ONNX Runtime call"
ALONE, CROWD = "one at a time", "64 clients, each"
CLIENTS, BATCH = 64, 32
OVERHEAD_MS = 2.0
KEPT = 0.9
"""Share of the bare throughput that serving must keep."""
CONFIG = PictureConfig(height=160, width=160)
LABELS = 10


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `measure.rows`, of one picture, each with `what`."""
    with tempfile.TemporaryDirectory() as folder:
        bare = _write(Path(folder))
        with served(["--artefacts", folder]) as (url, _):
            return asyncio.run(_run(f"{url}/v1/models/bench/classify", bare, tiny=tiny))


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    medians = {(row["what"], row["name"]): row["median_ms"] for row in table}
    missed = []
    if (overhead := medians[ALONE, "overhead"]) > OVERHEAD_MS:
        missed.append(
            f"a request adds {overhead:.2f} ms to decoding and model, budget {OVERHEAD_MS} ms"
        )
    if (kept := medians[CROWD, "bare"] / medians[CROWD, "served"]) < KEPT:
        missed.append(f"serving keeps {kept:.0%} of the bare throughput, budget {KEPT:.0%}")
    return missed


async def _run(url: str, bare: Callable[[int], Any], *, tiny: bool) -> list[dict[str, Any]]:
    bodies = cycle(jpegs())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        alone = await _one_at_a_time(http, url, bare, bodies, calls=5 if tiny else 200)
        together = await _many_at_a_time(
            http, url, bare, bodies, rounds=1 if tiny else 4, number=BATCH if tiny else 1_024
        )
    return measure.rows(alone, ours="bare", what=ALONE) + measure.rows(
        together, ours="bare", what=CROWD
    )


async def _one_at_a_time(
    http: aiohttp.ClientSession,
    url: str,
    bare: Callable[[int], Any],
    bodies: Iterator[bytes],
    *,
    calls: int,
) -> dict[str, list[float]]:
    """Return milliseconds of the call, of decoding, of the request, and of its overhead."""
    times: dict[str, list[float]] = {name: [] for name in ("bare", "decode", "request", "overhead")}
    for call in range(calls + 3):
        begin = time.perf_counter()
        timing = await _classify(http, url, next(bodies))
        request = 1e3 * (time.perf_counter() - begin)
        begin = time.perf_counter()
        bare(1)
        alone = 1e3 * (time.perf_counter() - begin)
        if call >= 3:  # the first ones open the connection and fill the caches
            row = (alone, timing["decode"], request, request - timing["decode"] - alone)
            for name, value in zip(times, row, strict=True):
                times[name].append(value)
    return times


async def _many_at_a_time(
    http: aiohttp.ClientSession,
    url: str,
    bare: Callable[[int], Any],
    bodies: Iterator[bytes],
    *,
    rounds: int,
    number: int,
) -> dict[str, list[float]]:
    """Return milliseconds per picture in rounds of `number`: bare calls on full batches, served.

    idle: of the time served, how long no model ran, which other work on the machine
    does not change.
    """
    times: dict[str, list[float]] = {"bare": [], "served": [], "idle": []}
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(number // BATCH):
            bare(BATCH)
        times["bare"].append(1e3 * (time.perf_counter() - begin) / number)
        begin = time.perf_counter()
        busy = await _load(http, url, [next(bodies) for _ in range(number)])
        times["served"].append(1e3 * (time.perf_counter() - begin) / number)
        times["idle"].append(times["served"][-1] - busy / number)
    return times


async def _load(http: aiohttp.ClientSession, url: str, bodies: list[bytes]) -> float:
    """Return the milliseconds of all model calls; each client waits for its response."""
    waiting = iter(bodies)
    calls = set()  # requests in one batch report the same time

    async def client() -> None:
        for body in waiting:
            calls.add((await _classify(http, url, body))["model"])

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return sum(calls)


async def _classify(http: aiohttp.ClientSession, url: str, body: bytes) -> dict[str, float]:
    async with http.post(url, data=body) as response:
        response.raise_for_status()
        timing: dict[str, float] = (await response.json())["timing_ms"]
        return timing


def jpegs() -> list[bytes]:
    """Return JPEGs of 320 x 240 to send in turn."""
    from PIL import Image

    rng, files = np.random.default_rng(0), []
    for _ in range(20):
        buffer = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        files.append(buffer.getvalue())
    return files


def _write(folder: Path) -> Callable[[int], Any]:
    """Write the artefact and return what runs its graph, bare, on so many pictures."""
    from models.artefact import write
    from models.manifest import Label
    from models.session import Session

    graph = network()
    pictures = np.random.default_rng(1).integers(0, 256, (BATCH, *CONFIG.shape), dtype=np.uint8)
    write(
        folder,
        name="bench",
        task="multi-class",
        kind="picture",
        config=CONFIG,
        labels=[Label(name=f"label {number}", threshold=0.5) for number in range(LABELS)],
        onnx=graph,
        golden_inputs=pictures[:4],
        report="",
        metrics={},
        provenance=[],
        libraries={},
    )
    session = Session(graph)
    return lambda number: session.predict(pictures[:number])


def network(widths: tuple[int, ...] = (32, 64, 128, 256)) -> bytes:
    """Return a graph of random strided convolutions, mean, one layer and a softmax."""
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    constants: dict[str, npt.NDArray[Any]] = {"scale": np.array([1 / 255], np.float32)}
    nodes = [
        helper.make_node("Cast", ["x"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes0"], perm=[0, 3, 1, 2]),
    ]
    before = 3
    for number, width in enumerate(widths):
        constants[f"kernel{number}"] = _random(rng, width, before, 3, 3)
        constants[f"deep{number}"] = _random(rng, width, width, 3, 3)
        taken, given = f"planes{number}", f"planes{number + 1}"
        nodes += [
            helper.make_node(
                "Conv", [taken, f"kernel{number}"], [f"a{number}"], strides=[2, 2], pads=[1] * 4
            ),
            helper.make_node("Relu", [f"a{number}"], [f"b{number}"]),
            helper.make_node("Conv", [f"b{number}", f"deep{number}"], [f"c{number}"], pads=[1] * 4),
            helper.make_node("Relu", [f"c{number}"], [given]),
        ]
        before = width
    constants["weights"] = _random(rng, before, LABELS)
    nodes += [
        helper.make_node("ReduceMean", [f"planes{len(widths)}"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["scores"], axis=1),
    ]
    return _graph(nodes, constants)


def _random(rng: np.random.Generator, *shape: int) -> npt.NDArray[Any]:
    values: npt.NDArray[np.float64] = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
    return values.astype(np.float32)


def _graph(nodes: list[Any], constants: dict[str, npt.NDArray[Any]]) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    inputs = [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", *CONFIG.shape])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", LABELS])]
    kept = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "bench", inputs, outputs, kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made: bytes = model.SerializeToString()
    return made
