"""The wrapper tells how a training has ended, whatever ends it, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from service.trainings import wrapper as module
from service.trainings.folder import read_object
from service.trainings.record import EXIT, LOG, PROCESS, tail
from tests.service.helpers.queued import FOREVER, queued, wait_until_gone

PID = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " + PID
FORKING = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {PID!r}])
child.wait()
"""


@pytest.fixture
def begun():
    processes = []

    def begin(folder, word=b"go\n"):
        command = [sys.executable, "-m", "service.trainings.wrapper", str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        processes.append(process)
        process.stdin.write(word)
        process.stdin.close()
        return process

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def first_line(folder):
    """Wait for the first line of a training's log."""
    end = time.monotonic() + 60
    while not (lines := tail(folder / LOG)):
        assert time.monotonic() < end
    return lines[0]


@pytest.mark.parametrize(
    ("code", "expected"), [("print('x')", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1)]
)
def test_the_exit_code_and_all_that_was_said_are_kept(tmp_path, begun, code, expected):
    folder = queued(tmp_path, f"import sys\nprint('one'); print('two', file=sys.stderr)\n{code}")
    assert begun(folder).wait(60) == 0
    outcome = read_object(folder / EXIT)
    assert (outcome["code"], outcome["why"]) == (expected, "")
    assert {"one", "two"} <= set(tail(folder / LOG))


def test_it_runs_at_low_priority(tmp_path, begun):
    folder = queued(tmp_path, "import os; print(os.nice(0))")
    begun(folder).wait(60)
    assert int(tail(folder / LOG)[0]) == min(19, os.nice(0) + module.NICE)


def test_without_the_word_go_nothing_is_begun(tmp_path, begun):
    folder = queued(tmp_path, "print('begun')")
    (folder / PROCESS).write_text("{}")
    assert begun(folder, b"").wait(60) == 0
    assert not (folder / EXIT).exists()
    assert not (folder / PROCESS).exists()
    assert tail(folder / LOG) == []


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_request_is_an_outcome(tmp_path, begun, text):
    folder = queued(tmp_path, "print()")
    (folder / "request.json").write_text(text)
    assert begun(folder).wait(60) == 0
    assert "cannot be started" in read_object(folder / EXIT)["why"]


def test_a_program_that_cannot_be_started_is_an_outcome(tmp_path, begun):
    folder = queued(tmp_path, "print()")
    request = read_object(folder / "request.json")
    request["folder"] = str(tmp_path / "gone")
    module.write_json(folder / "request.json", request)
    assert begun(folder).wait(60) == 0
    outcome = read_object(folder / EXIT)
    assert outcome["code"] is None
    assert "cannot be started" in outcome["why"]


def test_a_training_that_is_killed_is_told_by_its_signal(tmp_path, begun):
    folder = queued(tmp_path, PID)
    process = begun(folder)
    os.kill(int(first_line(folder)), signal.SIGKILL)
    assert process.wait(60) == 0
    assert read_object(folder / EXIT)["code"] == -signal.SIGKILL


@pytest.mark.parametrize(("code", "ends"), [(PID, 1), (STUBBORN, -9), (FORKING, None)])
def test_sigterm_ends_the_training_and_all_that_it_has_started(tmp_path, begun, code, ends):
    folder = queued(tmp_path, code)
    process = begun(folder)
    pid = int(first_line(folder))
    process.terminate()
    assert process.wait(60) == 0
    outcome = read_object(folder / EXIT)
    assert outcome["code"] != 0
    if ends == -9:
        assert outcome["code"] == -signal.SIGKILL
    wait_until_gone(pid)


def test_a_training_that_takes_too_long_is_ended_and_says_so(tmp_path, begun):
    folder = queued(tmp_path, FOREVER, limit_s=1.0)
    assert begun(folder).wait(60) == 0
    outcome = read_object(folder / EXIT)
    assert "longer than 1 s (training_limit)" in outcome["why"]
    assert outcome["code"] != 0


def test_a_wrapper_that_is_killed_takes_the_training_along(tmp_path, begun):
    folder = queued(tmp_path, PID)
    process = begun(folder)
    pid = int(first_line(folder))
    process.kill()
    process.wait()
    wait_until_gone(pid)
    assert not (folder / EXIT).exists()


def test_a_long_log_keeps_its_end(tmp_path, begun):
    code = "for n in range(40_000): print(f'line {n:06d} ' + 60 * '.')"
    folder = queued(tmp_path, code)
    assert begun(folder).wait(120) == 0
    assert (folder / LOG).stat().st_size <= module.MAX_LOG
    assert tail(folder / LOG)[-1].startswith("line 039999")


def test_a_process_that_keeps_the_output_open_keeps_nobody_waiting(tmp_path, begun):
    code = (
        "import subprocess, sys\n"
        f"other = subprocess.Popen([sys.executable, '-c', {FOREVER!r}], start_new_session=True)\n"
        "print(other.pid)"
    )
    folder = queued(tmp_path, code)
    assert begun(folder).wait(60) == 0
    os.kill(int(tail(folder / LOG)[0]), signal.SIGKILL)
    assert read_object(folder / EXIT)["code"] == 0
