"""Every process of the server ends after a signal, whatever its threads do."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.server_process import BIN, ROOT
from tests.service.conftest import tone, wav
from tests.service.helpers.endless import write_endless

SIGNALS = [signal.SIGTERM, signal.SIGINT]
SERVER_SIGNALS = [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
FOREVER = 600
"""A grace period that no test waits for."""
SCRIPT = """
import asyncio, itertools, threading
from service.lifecycle import on_stop_signal, run

async def main():
    stopping = asyncio.Event()
    on_stop_signal(stopping.set, limit_s={limit})
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    print("ready", flush=True)
    await stopping.wait()
    print("stopping", flush=True)
    {then}
    return 7

raise SystemExit(run(main()))
"""
"""One thread never returns."""
WAIT = "await asyncio.Event().wait()"
BLOCK = "threading.Event().wait()"
SPIN = "sum(itertools.repeat(0))"
"""Never gives the interpreter's lock back."""
WAYS = ["wait", "block", "spin"]


class Program:
    """A process of the server, and what it has logged so far."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self.log = ""

    def until(self, pattern, *, stream="stderr", times=1):
        while len(found := re.findall(pattern, self.log)) < times:
            line = getattr(self.process, stream).readline().decode()
            assert line, self.log
            self.log += line
        return found[-1]

    def end(self, *numbers):
        """Send signals; return the exit code once every process that holds its stderr has ended."""
        for number in numbers:
            self.process.send_signal(number)
        self.log += self.process.stderr.read().decode()
        return self.process.wait(60)


@pytest.fixture
def start():
    started = []

    def make(*command):
        started.append(Program(*command))
        return started[-1]

    yield make
    for each in started:
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()
        each.process.stderr.close()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_busy_thread_does_not_hold_up_the_exit(start, number):
    program = start(sys.executable, "-c", SCRIPT.format(limit=FOREVER, then="pass"))
    program.until("ready", stream="stdout")
    assert program.end(number) == 7


@pytest.mark.parametrize(
    ("then", "code"),
    [(WAIT, 0), (BLOCK, 0), (SPIN, -signal.SIGALRM)],
    ids=["wait", "block", "spin"],
)
def test_what_does_not_finish_is_cut_off(start, then, code):
    program = start(sys.executable, "-c", SCRIPT.format(limit=0.1, then=then))
    program.until("ready", stream="stdout")
    assert program.end(signal.SIGTERM) == code
    assert ("shutdown cut off" in program.log) is (code == 0)


@pytest.mark.parametrize("then", [WAIT, BLOCK, SPIN], ids=WAYS)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_it_at_once_and_is_how_it_ends(start, then, number):
    program = start(sys.executable, "-c", SCRIPT.format(limit=FOREVER, then=then))
    program.until("ready", stream="stdout")
    program.process.send_signal(signal.SIGTERM)
    program.until("stopping", stream="stdout")
    assert program.end(number) == -number


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """A folder with a model that never returns on loud sound."""
    folder = tmp_path_factory.mktemp("endless")
    write_endless(folder)
    return folder


def request_endless(address):
    """Ask for what is never answered, and do not wait; return the connection."""
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/v1/models/endless/classify", body=wav(tone(2, level=0.99)))
    return connection


def serve(start, endless, *options, gateways=1):
    """A server with that model."""
    options = ("--artefacts", endless, "--gateways", gateways, *options)
    program = start(BIN / "timbre", "serve", "--port", 0, *options)
    program.until(r" ready url=http://(\S+)", times=gateways)
    return program


KINDS = ["alone", "supervised", "redis"]


@pytest.fixture
def stuck(start, endless, redis_url):
    """Start a server of a kind, its model thread runs for ever."""
    connections = []

    def make(kind, *options):
        if kind == "redis":
            options = ("--redis", redis_url, *options)
        program = serve(start, endless, *options, gateways=2 if kind == "supervised" else 1)
        if kind == "redis":
            program.until("worker ready")
        address = program.until(r" ready url=http://(\S+)")
        connections.append(request_endless(address))
        wait_until_running(program)
        return program

    yield make
    for each in connections:
        each.close()


def wait_until_running(program):
    """Return when one of its processes uses the processor: the model runs."""
    pids = [program.process.pid, *map(int, re.findall(r" pid=(\d+)", program.log))]
    before = {pid: cpu_ticks(pid) for pid in pids}
    while all(cpu_ticks(pid) - before[pid] < 50 for pid in pids):
        assert program.process.poll() is None
        time.sleep(0.05)


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    "kind",
    # A server with Redis ends as the supervisor does.
    [kind if kind != "redis" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
@pytest.mark.parametrize("number", SERVER_SIGNALS)
def test_a_server_whose_model_never_returns_ends_after_the_grace_with_0(stuck, kind, number):
    program = stuck(kind, "--set", "grace=0.5")
    assert program.end(number) == 0
    assert "Traceback" not in program.log


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("kind", KINDS)
def test_a_second_signal_ends_a_server_and_its_processes_at_once(stuck, kind):
    program = stuck(kind, "--set", f"grace={FOREVER}")
    program.process.send_signal(signal.SIGTERM)
    program.until("shutting down")
    assert program.end(signal.SIGINT) == -signal.SIGINT


def test_a_signal_to_the_whole_group_gives_its_processes_their_grace(start, endless):
    """As a terminal's interrupt or systemd: every process gets it, and the supervisor's as well."""
    program = serve(start, endless, gateways=2)
    for number in (signal.SIGINT, signal.SIGTERM):
        for pid in map(int, re.findall(r" pid=(\d+)", program.log)):
            os.kill(pid, number)
    program.until("shutting down", times=2)
    assert program.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", SERVER_SIGNALS)
def test_a_worker_whose_model_never_returns_ends_after_the_grace_with_0(
    start, endless, redis_url, number
):
    worker = start(
        BIN / "timbre", "worker", "--redis", redis_url, "--artefacts", endless, "--set", "grace=0.5"
    )
    worker.until("worker ready")
    gateway = serve(start, endless, "--redis", redis_url, "--workers", 0)
    connection = request_endless(gateway.until(r" ready url=http://(\S+)"))
    wait_until_running(worker)
    assert worker.end(number) == 0
    connection.close()
    assert gateway.end(signal.SIGTERM) == 0
