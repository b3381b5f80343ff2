"""What systemd is told: by its own protocol, to a socket in its place."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from service.server.systemd import Systemd
from tests.helpers.server_process import BIN, ROOT


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """The socket that a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_each_state_is_sent_as_systemd_reads_it(manager):
    systemd = Systemd()
    assert systemd.waits
    for tell in (systemd.ready, systemd.alive, systemd.stopping):
        tell()
    told = [manager.recv(100) for _ in range(3)]
    assert told == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_start_may_take_as_long_as_the_loop_runs_and_a_shutdown_may_not(manager):
    systemd = Systemd()
    systemd.alive()
    assert manager.recv(100) == b"WATCHDOG=1\nEXTEND_TIMEOUT_USEC=30000000"
    for tell in (systemd.stopping, systemd.alive):
        tell()
    assert [manager.recv(100) for _ in range(2)] == [b"STOPPING=1", b"WATCHDOG=1"]


def test_an_address_without_a_file_is_one_that_begins_with_an_at_sign(monkeypatch):
    name = f"timbre-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Systemd().ready()
        assert listening.recv(100) == b"READY=1"


def test_processes_that_are_started_later_have_no_address(manager):
    assert Systemd().waits
    assert "NOTIFY_SOCKET" not in os.environ
    assert not Systemd().waits


def test_without_a_manager_nothing_is_sent_and_nothing_is_wrong(monkeypatch, capfd):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Systemd().ready()
    assert capfd.readouterr().err == ""


def test_a_manager_that_is_gone_is_logged_and_ends_nothing(manager, tmp_path, capfd):
    systemd = Systemd()
    (tmp_path / "notify").unlink()
    systemd.ready()
    for _ in range(3):
        systemd.alive()
    assert capfd.readouterr().err.count("systemd not reached") == 1


@pytest.mark.parametrize("gateways", ["1", "2"])
def test_a_server_is_ready_once_it_serves_then_alive_every_second_then_stopping(manager, gateways):
    options = ("--gateways", gateways, "--set", "models=instruments-forest")
    command = [BIN / "timbre", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        told = [manager.recv(100)]
        while told.count(b"WATCHDOG=1") < 2 or b"READY=1" not in told:
            told.append(manager.recv(100))
        assert told.count(b"READY=1") == 1
        process.send_signal(signal.SIGTERM)
        while manager.recv(100) != b"STOPPING=1":
            pass
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_server_whose_event_loop_stands_still_is_silent(manager):
    # The handler runs where the loop does, and never returns; the other threads go on.
    program = (
        "import signal, sys, threading\n"
        "signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait())\n"
        "from service.cli.main import main\n"
        "main(['serve', '--port', '0', '--set', 'models=instruments-forest'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        while manager.recv(100) != b"READY=1":
            pass
        assert manager.recv(100) == b"WATCHDOG=1"
        process.send_signal(signal.SIGUSR1)
        manager.settimeout(2.5)
        with pytest.raises(TimeoutError):
            receive_forever(manager)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def receive_forever(manager):
    while True:
        manager.recv(100)
