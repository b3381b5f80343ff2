"""A small cluster is cut off, slowed down, failed over, upgraded and drained; nothing is lost."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext

import pytest

from benchmarks.cluster import network
from benchmarks.cluster.__main__ import sizing
from tests.helpers.server_process import ROOT

PROGRAMS = ("unshare", "ip", "redis-server", "haproxy")


@pytest.mark.parametrize(("names", "own"), [(["lo"], True), (["lo", "eth0"], False)])
def test_it_changes_no_network_but_one_of_its_own(monkeypatch, names, own):
    monkeypatch.setattr(network.socket, "if_nameindex", lambda: list(enumerate(names, 1)))
    with nullcontext() if own else pytest.raises(RuntimeError, match="make cluster"):
        network.check_namespace()


def test_what_redis_does_for_a_thousand_streams_is_scaled_from_none_and_some():
    names = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes",
             "used_cpu_user", "used_cpu_sys", "used_memory")  # fmt: skip
    idle, busy = dict.fromkeys(names, 100.0), dict.fromkeys(names, 120.0)
    assert "10,100 commands/s" in sizing(idle, busy, streams=2)


@pytest.mark.slow  # Nine machines, and what breaks lasts for seconds each.
@pytest.mark.timeout(900)
def test_every_window_is_accounted_for_whatever_breaks():
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if (
        missing
        or os.getuid()
        or subprocess.run(["unshare", "--net", "true"], check=False).returncode
    ):
        pytest.skip(f"needs root, network namespaces and {', '.join(PROGRAMS)}")
    command = [sys.executable, "-m", "benchmarks.cluster", "--streams", "4", "--seconds", "5"]
    ran = subprocess.run(
        ["unshare", "--net", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 unaccounted for, 0 answered twice" in ran.stdout
