"""Wake-ups and CPU time of an idle server are measured, and held against the budget."""

import os
import threading
from pathlib import Path

import pytest

from benchmarks import idle
from tests.service.conftest import artefacts  # noqa: F401 - fixture

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="wake-ups are counted in /proc")


def test_a_server_is_measured_without_and_with_a_stream(artefacts):  # noqa: F811
    table = idle.run(tiny=True, options=["--artefacts", str(artefacts)], model="toy")
    assert [row["what"] for row in table] == [idle.IDLE, idle.STREAM]
    assert all(row["mib"] > 10 and row["cpu_percent"] >= 0 for row in table)


def test_wake_ups_are_counted_by_thread():
    go, done = threading.Event(), threading.Event()
    names = []

    def wait():
        names.append(str(threading.get_native_id()))
        go.wait()
        names.append("awake")
        done.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    while not names or names[0] not in idle.wakeups(os.getpid()):
        pass
    before = idle.wakeups(os.getpid())[names[0]]
    go.set()
    while "awake" not in names or idle.wakeups(os.getpid())[names[0]] <= before:
        pass
    done.set()
    thread.join()


def test_only_what_is_over_its_budget_is_named():
    row = {"what": idle.IDLE, "wakeups_per_s": 5.0, "cpu_percent": 0.1}
    busy = {"what": idle.STREAM, "wakeups_per_s": 110.0, "cpu_percent": 1.0}
    assert idle.shortfalls([row, busy]) == []
    assert len(idle.shortfalls([row | {"wakeups_per_s": 5.1, "cpu_percent": 0.2}])) == 2
