"""Toy models that tell tones from noise, and real servers on real sockets."""

import asyncio
import io
import json
import logging
import sys
import threading
import wave
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import numpy as np
import onnx
import pytest
from aiohttp import web
from onnx import helper, numpy_helper
from sklearn.ensemble import RandomForestClassifier

from features.extract import extract_many
from models.artefact import write
from models.export.forest import export
from models.manifest import Label
from models.pin import FILE
from service.api.context import GATEWAY
from service.app import build
from service.auth import file_limits, redis_limits
from service.log import QUIET, configure
from service.queue import redis_versions
from service.settings import Settings
from tests.service.helpers.redis_server import start_redis

RATE = 22_050
PATIENT = {
    "window_deadline": 60.0,
    "clip_deadline": 60.0,
    "max_waiting": 64,
    "load_timeout": 300.0,
}
"""Settings of a server that gives up no window and no version on a machine with other work."""
COMMON = {
    "task": "multi-label",
    "report": "# Toy\n",
    "metrics": {"f1": 1.0},
    "provenance": [{"source": "made here", "licence": "CC0-1.0", "use": "training"}],
    "libraries": {"numpy": np.__version__},
}


def tone(seconds, frequency=440.0, *, rate=RATE, level=0.3):
    """A sine, float32."""
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def noise(seconds, *, rate=RATE, level=0.1, seed=0):
    """White noise, float32."""
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(
        np.float32
    )


def pcm(samples):
    """Samples as pcm_s16le."""
    return (np.clip(samples, -1, 32_767 / 32_768) * 32_768).astype("<i2").tobytes()


def wav(samples, *, rate=RATE):
    """Samples as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm(samples))
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def limits_are_counted_together(monkeypatch):
    """However slow the machine, Redis' answers and the lock of a file are waited for."""
    monkeypatch.setattr(redis_limits, "REPLY_S", 60)
    monkeypatch.setattr(file_limits, "LOCK_S", 60)


@pytest.fixture
def no_version_is_waited_for(monkeypatch):
    """For tests whose workers load what a job names and report nothing, or that have none."""
    monkeypatch.setattr(redis_versions, "PREPARE_S", 0.0)


@pytest.fixture(autouse=True)
def log_as_before():
    """Undoes what a test has set for the log of the whole process, as commands do."""
    root = logging.getLogger()
    saved = root.level, root.handlers[:], sys.excepthook, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    if any(type(handler).__module__ == "service.log" for handler in root.handlers):
        configure(as_json=False, debug=False)
        logging.captureWarnings(capture=False)
        root.handlers[:] = saved[1]
        root.setLevel(saved[0])
        sys.excepthook, threading.excepthook = saved[2:]
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@pytest.fixture(autouse=True)
def shared_artefacts_stay_as_they_are(request):
    """A test that loads or unloads takes a copy: every later test reads the same folder."""
    yield
    if "artefacts" in request.fixturenames:
        folder = request.getfixturevalue("artefacts")
        left = [str(path) for path in folder.rglob("*") if path.name == FILE]
        for path in left:
            Path(path).unlink()
        assert left == []


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory):
    """Models `toy` (1, 2) on features and `toy-net` on spectrograms; labels tone, noise."""
    folder = tmp_path_factory.mktemp("artefacts")
    labels = [Label(name=name, threshold=0.5) for name in ("tone", "noise")]
    rng = np.random.default_rng(0)
    sounds = [tone(2, f) for f in rng.uniform(100, 2_000, 20)] + [
        noise(2, seed=seed) for seed in range(20)
    ]
    rows = extract_many(sounds)
    present = np.repeat([[1, 0], [0, 1]], 20, axis=0)
    for seed in (1, 2):
        forest = RandomForestClassifier(10, random_state=seed).fit(rows, present)
        graph = export(forest)
        write(
            folder,
            name="toy",
            kind="features",
            labels=labels,
            onnx=graph,
            golden_inputs=rows[::4],
            **COMMON,
        )
    images = extract_many(sounds[::4], kind="log_mel")
    write(
        folder,
        name="toy-net",
        kind="log_mel",
        labels=labels,
        onnx=_net(),
        golden_inputs=images,
        **COMMON,
    )
    return folder


def _net():
    """Average over the frames, then one score from the low bands and one from the high ones."""
    weights = np.zeros((128, 2), np.float32)
    weights[:64, 0] = weights[64:, 1] = 1e-3
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["scores"]),
    ]
    inputs = [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 128, 87])]
    outputs = [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", 2])]
    graph = helper.make_graph(
        nodes, "net", inputs, outputs, [numpy_helper.from_array(weights, "weights")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A redis-server for all tests that do not stop it."""
    server = start_redis(tmp_path_factory)
    yield server
    server.end()


@pytest.fixture
def redis_url(redis_server):
    """Its address, with nothing in it."""
    redis_server.client.flushall()
    return redis_server.url


class Server:
    """A running application and a client for it."""

    def __init__(self, app, url, http):
        self.app = app
        self.url = url
        self.http = http
        self.gateway = app[GATEWAY]

    async def get(self, path, **options):
        async with self.http.get(self.url + path, **options) as response:
            return response.status, await response.json(), response.headers

    async def post(self, path, **options):
        async with self.http.post(self.url + path, **options) as response:
            return response.status, await response.json(), response.headers

    async def delete(self, path, **options):
        async with self.http.delete(self.url + path, **options) as response:
            return response.status, await response.json(), response.headers

    def stream(self, model="toy", **options):
        """A raw WebSocket to a model's stream."""
        return self.http.ws_connect(f"{self.url}/v1/models/{model}/stream", **options)


@pytest.fixture
async def serve(artefacts):
    """Start servers by `await serve(setting=value, ...)`; they end with the test."""
    async with AsyncExitStack() as stack:

        async def start(*, ready=True, **settings):
            settings = {"port": 0, "artefacts": artefacts, "grace": 2.0, **PATIENT, **settings}
            app = build(Settings(**settings))
            runner = web.AppRunner(
                app,
                access_log=None,
                handler_cancellation=True,
                shutdown_timeout=0.5,
                auto_decompress=False,
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            http = await stack.enter_async_context(aiohttp.ClientSession())
            server = Server(app, f"http://127.0.0.1:{runner.addresses[0][1]}", http)
            if ready:
                await server.gateway.opening
            return server

        yield start


async def until(condition, *, seconds=300):
    """Wait for something that has no event of its own."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.005)


async def begin(socket, sample_rate=RATE, **fields):
    """Send `start`, return the answer."""
    await socket.send_json({"type": "start", "sample_rate": sample_rate, **fields})
    return await socket.receive_json(timeout=60)


async def rest_of(socket, *, seconds=60):
    """Collect messages until the server closes; the close code is the last item."""
    messages = []
    async with asyncio.timeout(seconds):
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return [*messages, socket.close_code]
            messages.append(json.loads(message.data))
