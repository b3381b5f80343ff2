"""`timbre serve` as a process: start, signals, restarts of its processes."""

import asyncio
import contextlib
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from service.cli.serve import main
from service.server import supervisor
from service.server.gateway_states import READY
from service.server.supervisor import Supervisor
from service.settings import Settings
from tests.service.conftest import RATE, begin, noise, pcm, rest_of, wav
from tests.service.helpers.endless import write_endless
from tests.service.helpers.redis_server import start_redis


class Process:
    """A running `timbre serve` and its log so far."""

    def __init__(self, *arguments, shell=""):
        command = [
            sys.executable,
            "-m",
            "service.cli.main",
            "serve",
            "--port",
            "0",
            *map(str, arguments),
        ]
        if shell:
            command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log = []

    def until(self, pattern, *, times=1):
        """Read the log until a pattern was seen so many times in all; return the last match."""
        found = [match for line in self.log if (match := re.search(pattern, line))]
        while len(found) < times:
            line = self.process.stderr.readline()
            assert line, "".join(self.log)
            self.log.append(line)
            if match := re.search(pattern, line):
                found.append(match)
        return found[-1]

    def end(self, *, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        self.log += self.process.stderr.readlines()
        return self.process.wait(60)


@pytest.fixture
def serve_process(artefacts):
    started = []

    def start(*arguments, **options):
        started.append(Process("--artefacts", artefacts, *arguments, **options))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        each.process.stderr.close()


def test_the_log_has_the_models_and_the_url(serve_process):
    server = serve_process()
    line = server.until("ready").string
    assert "url=http://127.0.0.1:" in line
    assert "models=toy:2,toy-net:1" in line
    assert "provider=CPU" in line
    assert re.search(r"seconds=\d", line)
    assert server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_on_a_signal_it_ends_streams_and_exits_with_0(serve_process, number):
    server = serve_process("--set", "grace=60")
    url = (await asyncio.to_thread(server.until, r"url=(http\S+)"))[1]
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/models/toy/stream") as socket,
    ):
        await begin(socket, on_overload="complete")
        await socket.send_bytes(pcm(noise(4)))
        assert (await socket.receive_json())["type"] == "window"
        ending = asyncio.create_task(asyncio.to_thread(server.end, signal_number=number))
        *messages, code = await rest_of(socket)
        assert messages[-1]["reason"] == "server leaves"
        assert messages[-1]["windows"] == 4
        assert messages[-1]["samples_received"] == 4 * RATE
        assert code == 1001
        assert await ending == 0


def test_it_ends_within_the_grace_whatever_clients_do(serve_process):
    server = serve_process("--set", "grace=0.5")
    port = int(server.until(r"url=http://127.0.0.1:(\d+)")[1])
    import socket

    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(
            b"POST /v1/models/toy/classify HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 1000\r\n\r\n"
        )
        server.until("ready")
        time.sleep(0.2)
        assert server.end() == 0
    assert any("grace period expired" in line for line in server.log)


def test_several_gateways_share_the_port_and_the_dead_are_replaced(serve_process):
    server = serve_process("--gateways", 2)
    port = server.until(r"url=http://127.0.0.1:(\d+)", times=2)[1]
    pids = [
        int(re.search(r"pid=(\d+)", line)[1]) for line in server.log if "gateway started" in line
    ]
    assert len(set(pids)) == 2
    os.kill(pids[0], signal.SIGKILL)
    server.until("gateway exited")
    server.until("ready", times=3)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
        assert answer.status == 200
    assert server.end() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pids[1], 0)


async def test_while_one_gateway_restarts_the_others_accept_all_requests(serve_process):
    server = serve_process("--gateways", 2)
    url = (await asyncio.to_thread(server.until, r" ready url=(\S+)", times=2))[1]
    pid = int(server.until(r"gateway started number=0 pid=(\d+)")[1])
    back = asyncio.create_task(asyncio.to_thread(server.until, " ready url", times=3))
    statuses, lost = [], 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        os.kill(pid, signal.SIGKILL)
        while not back.done() or len(statuses) < 100:
            try:
                async with http.get(url + "/readyz") as response:
                    statuses.append(response.status)
            except aiohttp.ClientError:
                lost += 1
    assert set(statuses) == {200}
    assert lost <= 2  # one that was on its way to the dead
    assert await asyncio.to_thread(server.end) == 0


@pytest.mark.slow  # the model that hangs keeps a processor busy until its process is ended
def test_a_gateway_whose_model_hangs_is_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(supervisor, "HEARTBEAT_TIMEOUT_S", 2.5)
    write_endless(tmp_path)
    settings = Settings(port=0, artefacts=tmp_path, clip_deadline=1.0)
    watching = Supervisor(settings, since=time.monotonic())
    (child,) = watching._children
    url = f"http://127.0.0.1:{watching.settings.port}"
    try:
        while not watching._states.has(READY):
            watching._watch()
        first = child.process
        loud = wav(noise(2, level=0.9))
        posting = threading.Thread(
            target=status_of, args=(f"{url}/v1/models/endless/classify", loud)
        )
        posting.start()
        while child.process is first:
            watching._watch()
        posting.join(60)
        assert first.exitcode == -signal.SIGKILL
    finally:
        watching._stop()
        for each in (watching._reserved, watching._wake, watching._signal_socket):
            each.close()
    assert "gateway unresponsive" in capsys.readouterr().err


def status_of(url, data):
    """The status of a request; 0 when the server ends meanwhile."""
    try:
        with urllib.request.urlopen(url, data=data, timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_a_process_that_hangs_is_replaced_once_but_has_time_to_start(
    artefacts, monkeypatch, capsys
):
    monkeypatch.setattr(supervisor, "HEARTBEAT_TIMEOUT_S", 1.0)
    watching = Supervisor(Settings(port=0, artefacts=artefacts), since=time.monotonic())
    (child,) = watching._children
    watching._start(child)  # without the wait that gives it time for its first turn
    first = child.process
    try:
        os.kill(first.pid, signal.SIGSTOP)
        while time.monotonic() < child.started + 2 * supervisor.HEARTBEAT_TIMEOUT_S:
            watching._watch()
        os.kill(first.pid, signal.SIGCONT)
        while child.last_heartbeat > time.monotonic():  # not before its first turn
            watching._watch()
        assert child.process is first
        os.kill(first.pid, signal.SIGSTOP)
        while child.process is first:
            watching._watch()
        assert first.exitcode == -signal.SIGKILL
    finally:
        first.kill()
        watching._stop()
        for each in (watching._reserved, watching._wake, watching._signal_socket):
            each.close()
    assert capsys.readouterr().err.count("gateway unresponsive") == 1


def test_when_the_supervisor_is_killed_its_processes_exit_and_free_the_port(
    serve_process, redis_url
):
    server = serve_process("--gateways", 2, "--redis", redis_url)
    port = int(server.until(r"url=http://127.0.0.1:(\d+)", times=2)[1])
    assert (
        server.end(signal_number=signal.SIGKILL) == -signal.SIGKILL
    )  # at the end of the log all are gone
    assert len([line for line in server.log if "supervisor exited" in line]) == 3
    socket.create_server(("127.0.0.1", port)).close()


def command_lines(pid):
    """The command lines of a process and of all that it has started."""
    shown = b""
    with contextlib.suppress(OSError):  # it has ended
        shown += Path(f"/proc/{pid}/cmdline").read_bytes()
        for task in Path(f"/proc/{pid}/task").iterdir():
            shown += b"".join(map(command_lines, (task / "children").read_text().split()))
    return shown


def test_a_password_in_the_environment_is_in_no_command_line(
    serve_process, tmp_path_factory, monkeypatch
):
    redis = start_redis(tmp_path_factory)
    try:
        redis.client.config_set("requirepass", "sesame")
        monkeypatch.setenv("TIMBRE_REDIS", redis.url.replace("unix://", "unix://:sesame@"))
        server = serve_process()
        shown = command_lines(server.process.pid)
        for stage in ("worker started", "worker ready", " ready url"):
            server.until(stage)
            shown += command_lines(server.process.pid)
        assert server.end() == 0
        assert b"timbre: worker 0" in shown
        assert "sesame" not in shown.decode(errors="replace") + "".join(server.log)
    finally:
        redis.end()


async def test_a_low_file_descriptor_limit_lowers_the_connection_limit(
    serve_process,
):
    server = serve_process(shell="ulimit -n 200")
    url = (await asyncio.to_thread(server.until, r" ready url=(\S+)"))[1]
    idle = [
        await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1])) for _ in range(250)
    ]
    async with aiohttp.ClientSession() as http:
        for path in ("/livez", "/v1/models"):
            async with http.get(url + path) as response:
                assert response.status == 200
        await asyncio.sleep(1.2)  # the artefacts are looked at every second
    for _, writer in idle:
        writer.transport.abort()
    assert await asyncio.to_thread(server.end) == 0
    log = "".join(server.log)
    assert "file-descriptor limit low allowed=200 required=4352 connections=100" in log
    assert "Too many open files" not in log


def test_without_a_model_it_fails_with_the_reason(tmp_path):
    server = Process("--artefacts", tmp_path)
    assert "no artefact" in server.until("cannot serve").string
    assert server.process.wait(60) == 1
    server.process.stderr.close()


@pytest.mark.slow  # three starts of a gateway
def test_one_gateway_that_cannot_serve_does_not_end_the_others(artefacts, tmp_path):
    folder = tmp_path / "artefacts"
    settings = Settings(port=0, artefacts=folder, gateways=2)
    watching = Supervisor(settings, since=time.monotonic())
    first, second = watching._children
    second.due = math.inf
    try:
        while not first.exits:
            watching._watch()
        assert first.cannot_serve
        assert not watching._cannot_serve
        shutil.copytree(artefacts / "toy" / "2", folder / "toy" / "2")
        second.due = 0.0
        while not watching._states.has(READY):
            watching._watch()
        assert not watching._cannot_serve
    finally:
        watching._stop()
        for each in (watching._reserved, watching._wake, watching._signal_socket):
            each.close()


@pytest.mark.parametrize("gateways", [1, 2])
def test_a_folder_of_artefacts_that_cannot_be_read_is_named_as_that(serve_process, gateways):
    folder = "a" * 300  # longer than a name may be
    server = serve_process("--artefacts", folder, "--gateways", gateways)
    assert re.search(r"File name too long: 'a{300}'", server.until("cannot serve").string)
    assert server.process.wait(60) == 1
    assert "cannot listen" not in server.process.stderr.read()


def test_a_port_in_use_is_reported(serve_process, capsys):
    port = serve_process().until(r"url=http://127.0.0.1:(\d+)")[1]
    for more in ([], ["--gateways", "2"]):
        assert main(["--port", port, *more]) == 1
        assert f"127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
@pytest.mark.parametrize("name", ["host", "metrics_host"])
def test_an_address_beyond_loopback_needs_insecure_or_keys(name, host, capsys):
    assert main(["--metrics-port", "9", "--set", f"{name}={host}"]) == 2
    assert re.search(rf"{name}=.*--keys FILE.*--insecure", capsys.readouterr().err)


def test_a_metrics_host_without_its_port_is_not_listened_on(capsys):
    assert main(["--set", "metrics_host=0.0.0.0", "--set", "keys=none.json"]) == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "prot=1"],
        ["--set", "grace=-1"],
        ["--gateways", "0"],
        ["--workers", "2"],
        ["--redis", "redis://h?x=1"],
    ],
    ids=lambda each: each[-1],
)
def test_invalid_settings_exit_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("timbre serve: ")


def test_unknown_options_exit_with_2():
    with pytest.raises(SystemExit) as caught:
        main(["--prot", "1"])
    assert caught.value.code == 2
