"""Start and stop, the same for every process of the server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stoppable(Protocol):
    """Something long-lived that ends when the server shuts down."""

    def shut_down(self) -> None:
        """Finish soon; return at once."""


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a process on uvloop, or on asyncio where there is none; return its exit code."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run(main)
    return uvloop.run(main)


def on_stop_signal(shut_down: Callable[[], None]) -> None:
    """Call `shut_down` at the first SIGTERM or SIGINT; a second one ends the process at once."""
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            os._exit(1)
        stopping = True
        shut_down()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
