"""How many files of the project a live window and a clip pass, counted while they pass them."""

import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.inference import version_updater
from tests.service.conftest import begin, noise, pcm, rest_of, wav

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("common", "features", "models", "service")
BESIDE = {
    "service/api/host_check.py": "rejects requests to foreign names",
    "service/api/authentication.py": "rejects requests without a key",
    "service/api/local_admin.py": "rejects administration from elsewhere",
    "service/api/responses.py": "is aiohttp's, without NaN",
    "service/hosts.py": "rejects requests to foreign names",
    "service/log.py": "writes the log line of a request",
    "service/inference/loop_monitor.py": "is woken up by a request",
    "service/inference/load_shedding.py": "rejects clips while live windows are dropped",
    "service/inference/registry.py": "names the version that answers",
    "service/inference/job_counter.py": "counts pending jobs",
    "service/metrics/families.py": "counts",
    "service/streaming/stream_counter.py": "counts what is sent",
    "service/streaming/window_trace.py": "names in the trace how a stream ended, if there is one",
    "service/tracing/spans.py": "reads the caller's trace id for the log",
    "service/streaming/bounded_reader.py": "counts bytes of messages that are not complete",
    "features/sound_checks.py": "names what is odd about a file",
    "features/levels.py": "rejects floats that are not audio",
    "features/kernels/loader.py": "gives compiled functions",
    "common/budget.py": "counts files and bytes",
    "common/terminal.py": "escapes the log line",
    "common/strict_json.py": "is json.dumps without NaN",
}
"""Called meanwhile; they reject, count, log or name, and make nothing of the sound."""


class CalledFiles:
    """Files whose functions are called, in the order of the first call."""

    def __init__(self):
        self.files = {}
        self._recording = False

    @contextmanager
    def recording(self):
        self._recording = True
        yield
        self._recording = False

    def __call__(self, frame, event, _):
        if self._recording and event == "call":
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in FOLDERS:
                self.files.setdefault(str(path.relative_to(ROOT)))

    def __str__(self):
        return "\n".join(("", *(f"{number:2} {file}" for number, file in enumerate(self.files, 1))))


@pytest.fixture
def called(monkeypatch):
    """Records calls in this thread and in threads that start later: use it before `serve`."""
    monkeypatch.setattr(version_updater, "SCAN_S", 1e6)  # no scan while a window passes
    called = CalledFiles()
    before = sys.getprofile(), threading.getprofile()
    threading.setprofile(called)
    sys.setprofile(called)
    yield called
    sys.setprofile(before[0])
    threading.setprofile(before[1])


async def test_a_live_window_passes_at_most_18_files(called, serve):
    server = await serve()
    for _ in range(2):  # the first fills caches and starts the thread of the model
        called.files.clear()
        async with server.stream() as socket:
            await begin(socket)
            await socket.send_bytes(pcm(noise(2)))
            assert (await socket.receive_json(timeout=60))["type"] == "window"
            with called.recording():
                await socket.send_bytes(pcm(noise(0.6)))
                assert (await socket.receive_json(timeout=60))["type"] == "window"
            await socket.send_json({"type": "end"})
            await rest_of(socket, seconds=60)
    assert {"service/streaming/processor.py", "models/session.py"} <= called.files.keys()
    assert len(called.files.keys() - BESIDE) <= 18, str(called)


async def test_a_clip_passes_at_most_15_files(called, serve):
    server = await serve()
    clip = wav(noise(2))
    assert (await server.post("/v1/models/toy/classify", data=clip))[0] == 200
    with called.recording():
        assert (await server.post("/v1/models/toy/classify", data=clip))[0] == 200
    assert {"service/api/routes.py", "features/decode.py", "models/session.py"} <= (
        called.files.keys()
    )
    assert len(called.files.keys() - BESIDE) <= 15, str(called)
