"""Start and stop, the same for every process of the server.

A thread that never returns (a decoder, a model) must not keep a process alive: neither asyncio nor
the interpreter can end one, and both wait for it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from common.memory import share_one_heap
from service.log import log

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CLEANUP_S = 2.0
"""Seconds past the grace period to close what is open."""
ALARM_S = 2.0
"""Seconds later the kernel ends a process in which not even a thread of Python's can run."""
_stopped = threading.Event()


class Stoppable(Protocol):
    """Something long-lived that ends when the server shuts down."""

    def shut_down(self) -> None:
        """Finish soon; return at once."""


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a process on uvloop, or on asyncio where there is none; return its exit code.

    After a signal it does not return: the process ends, whatever its threads do.
    """
    share_one_heap()
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run(_run(main))
    return uvloop.run(_run(main))


async def _run(main: Coroutine[Any, Any, int]) -> int:
    code = await main
    if _stopped.is_set():
        _exit(code)
    return code


def on_stop_signal(shut_down: Callable[[], None], *, limit_s: float) -> None:
    """Call `shut_down` at the first SIGTERM or SIGINT; `limit_s` later the process ends with 0.

    A second signal ends it at once, by the signal itself; in a child of the supervisor, signals
    after the first do nothing, because the supervisor and whoever signals the whole group (a
    terminal, systemd) may each send one.
    """
    loop = asyncio.get_running_loop()
    supervised = multiprocessing.parent_process() is not None

    def stop() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            # The kernel's own action: it works whatever the loop and the threads do.
            signal.signal(number, signal.SIG_IGN if supervised else signal.SIG_DFL)
        _stopped.set()
        _end_after(limit_s)
        shut_down()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)


def _end_after(limit_s: float) -> None:
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, limit_s + ALARM_S)
    timer = threading.Timer(limit_s, _cut_off)
    timer.daemon = True
    timer.start()


def _cut_off() -> None:
    log("shutdown cut off", threads=",".join(sorted(each.name for each in threading.enumerate())))
    _exit(0)


def _exit(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
