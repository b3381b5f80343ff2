"""Processes are recognised for certain, and nothing of a session is left or wrongly ended."""

import os
import subprocess
import sys

import pytest

from service.trainings.process import end_session, identity, is_running
from tests.service.helpers.queued import is_alive, wait_until_gone

SLEEP = "import time; time.sleep(600)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], process_group=0)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def started():
    processes = []

    def start(code, **options):
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_is_known_by_its_start_as_well_as_its_pid(started):
    process, other = started(SLEEP), started(SLEEP)
    known = identity(process.pid)
    assert known
    assert is_running(process.pid, known)
    assert not is_running(process.pid, known + "1")
    assert not is_running(process.pid, "")
    assert not is_running(other.pid, known) or identity(other.pid) == known
    assert identity(os.getpid()) not in ("", known)


def test_a_process_that_has_ended_does_not_run_even_before_it_is_reaped(started):
    process = started("print()")
    known = identity(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity(process.pid) == ""
    assert not is_running(process.pid, known)
    process.wait()
    assert identity(process.pid) == ""


def test_all_of_a_session_is_ended_though_its_leader_is_dead(started):
    leader = started(PARENT, start_new_session=True)
    known, child = identity(leader.pid), int(leader.stdout.readline())
    leader.kill()
    leader.wait()
    assert is_alive(child)
    end_session(leader.pid, known)
    wait_until_gone(child)
    end_session(leader.pid, known)


def test_a_later_process_with_the_same_pid_is_left_alone(started):
    process = started(SLEEP, start_new_session=True)
    end_session(process.pid, "another process")
    assert is_running(process.pid, identity(process.pid))
    end_session(process.pid, identity(process.pid))
    assert process.wait(60) == -9
