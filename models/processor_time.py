"""Clocks of processor time, which stand still while a busy machine runs other programs.

A time limit that is meant for what a program does, not for the machine, counts by them.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds so far; raises OSError once the thread or process has ended."""


def of_this_thread() -> Clock:
    """Return the clock of the calling thread, for any thread to read.

    Where the system has none it is the wall clock.
    """
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    number = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(number)


def of_process(pid: int) -> Clock:
    """Return the clock of a process, all its threads together; beside Linux the wall clock."""
    if sys.platform != "linux":
        return time.monotonic
    # As clock_getcpuclockid(3) makes it; Python has no call for it.
    number = ~pid << 3 | 2
    return lambda: time.clock_gettime(number)
