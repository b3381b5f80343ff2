"""Clocks of processor time stand still for what waits, and run for what works."""

import subprocess
import sys
import threading
import time

import pytest

from models.processor_time import of_process, of_this_thread

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="beside Linux it is a wall clock")


def test_a_thread_that_works_is_seen_by_another_and_what_the_other_does_is_not():
    clocks, stop = [], threading.Event()

    def work():
        clocks.append(of_this_thread())
        begun.set()
        while not stop.is_set():
            pass

    begun = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    own, own_before = of_this_thread(), time.thread_time()
    assert own() == pytest.approx(own_before, abs=0.05)
    before = clocks[0]()
    while clocks[0]() < before + 0.02:
        pass
    stop.set()
    thread.join()


def test_a_process_that_waits_takes_nothing_and_one_that_works_what_it_tells():
    program = "import time; input(); end = time.process_time() + 0.1\n"
    program += (
        "while time.process_time() < end: pass\nprint(time.process_time(), flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        clock = of_process(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        told = float(process.stdout.readline())
        assert told <= clock() < told + 0.1
        process.stdin.write("\n")


def test_a_process_that_is_gone_has_no_clock():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(OSError, match="Invalid argument"):
        of_process(process.pid)()
