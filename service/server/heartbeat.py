"""When a process last said that it works, for what restarts it: a supervisor or a probe."""

from __future__ import annotations

import time
from collections.abc import Callable

HEARTBEAT_TIMEOUT_S = 20.0
"""Without a heartbeat for so long, a process hangs."""


class Heartbeat:
    """Called by what works; asked by what probes."""

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        """tell: called with each heartbeat."""
        self.tell = tell
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Say that it works."""
        self._last = time.monotonic()
        self.tell()

    @property
    def overdue_s(self) -> float:
        """How long ago the last one was, if that is too long; else 0."""
        age = time.monotonic() - self._last
        return age if age > HEARTBEAT_TIMEOUT_S else 0.0
