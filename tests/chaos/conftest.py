"""Real processes to be harmed. `make chaos` sets ROUNDS: how often each test runs, for longer."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.service.conftest import artefacts, redis_server, redis_url, serve, until  # noqa: F401
from tests.service.helpers.redis_server import start_redis

ROUNDS = int(os.environ.get("ROUNDS", "1"))
LONG = ROUNDS > 1
SPARE = 2
"""Connections to Redis that are kept once there was so much to tell at one time."""
GROWTH = 40 * 2**20
"""Bytes: allocators keep what was freed, but not for every stream that ever was."""


def pytest_generate_tests(metafunc):
    if LONG:
        metafunc.fixturenames.append("round_number")
        metafunc.parametrize("round_number", range(ROUNDS))


class Victim:
    """A process of ours and its log so far."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)], stderr=subprocess.PIPE, text=True
        )
        self.log = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self.log.append(line)
                self._changed.notify_all()

    def until(self, pattern, *, times=1, seconds=60):
        """Wait until the log has held a pattern so many times; return the matches."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self.find(pattern)) >= times, seconds)
        assert found, "".join(self.log)
        return self.find(pattern)

    def find(self, pattern):
        return [match for line in self.log if (match := re.search(pattern, line))]

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Let it go on if it was stopped, tell it to leave; return its exit code."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(60)
        finally:
            self.kill()
            self._reader.join(5)
            self.process.stderr.close()


def handles(*pids):
    """How many files and sockets processes have open."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def resident(pid):
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@asynccontextmanager
async def returning(*pids):
    """Whatever happens in between, processes hold no more after it than before."""
    before = [(pid, handles(pid), resident(pid)) for pid in pids]
    yield
    for pid, held, size in before:
        await until(lambda pid=pid, held=held: handles(pid) <= held + SPARE)
        assert resident(pid) < size + GROWTH


@pytest.fixture(autouse=True)
def nothing_stays_open():
    """Fails a test that leaks file descriptors; set up first, so it ends after all others."""
    before = handles(os.getpid())
    yield
    assert handles(os.getpid()) <= before + SPARE


@pytest.fixture
def victim():
    """Start processes; they end with the test."""
    started = []

    def start(*command):
        started.append(Victim(*command))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def own_redis(tmp_path_factory):
    """A redis-server that may be harmed."""
    server = start_redis(tmp_path_factory)
    yield server
    server.end()


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """Set the clock of every process started from now on: so many seconds ahead of the true one."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler on this machine, which a program's own clock needs")
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    offset.write_bytes(struct.pack("l", 0))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_OFFSET", str(offset))

    def step(seconds):
        with offset.open("r+b") as file:
            file.write(struct.pack("l", seconds))

    return step
