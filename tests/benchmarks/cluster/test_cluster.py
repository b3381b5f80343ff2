"""A small cluster is cut off, slowed down, failed over, upgraded and drained; nothing is lost."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext

import pytest

from benchmarks.cluster import network
from benchmarks.cluster.__main__ import row, sizing
from benchmarks.cluster.load import Totals
from benchmarks.reporting import results
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
    none, many = sizing(idle, busy, streams=2)
    assert (none["commands_s"], many["commands_s"]) == (100, 10_100)
    assert (none["core_percent"], many["core_percent"]) == (20_000, 2_020_000)


def test_a_line_tells_what_was_dropped_by_its_reason():
    totals = Totals(answered=3, dropped=Counter(overload=2, late=1), reconnects=4)
    found = row("cut off", 15.4, totals, 1.25)
    assert (found["what"], found["seconds"], found["dropped"]) == (
        "cut off",
        15,
        "1 late, 2 overload",
    )
    assert row("nothing", 15, Totals(), 0.0)["dropped"] == "0"


@pytest.mark.slow  # Nine machines, and what breaks lasts for seconds each.
@pytest.mark.timeout(900)
def test_every_window_is_accounted_for_whatever_breaks(tmp_path):
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if (
        missing
        or os.getuid()
        or subprocess.run(["unshare", "--net", "true"], check=False).returncode
    ):
        pytest.skip(f"needs root, network namespaces and {', '.join(PROGRAMS)}")
    made = tmp_path / "cluster.json"
    command = [sys.executable, "-m", "benchmarks.cluster", "--streams", "4", "--seconds", "5"]
    command += ["--json", str(made)]
    ran = subprocess.run(
        ["unshare", "--net", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = results.read(made)
    assert "0 unaccounted for, 0 answered twice" in report["note"]
    assert report["rows"][0]["what"] == "nothing"
    assert report["command"].endswith("benchmarks.cluster --streams 4 --seconds 5")
