"""What the gateways on one port tell each other: who takes requests, who only answers probes."""

from __future__ import annotations

import errno
import math
import mmap
import os
import time
from pathlib import Path

CLOSED, STARTING, READY = range(3)
"""Its ports are closed; they are open, and work gets 503; it takes work, or did once."""
FILE = "gateways"
CLOSING_S = 2.0
"""How long a ready gateway waits for another, which may hang, to close its ports."""


class GatewayStates:
    """A byte of shared memory for each gateway; one that has ended is `CLOSED`."""

    def __init__(self, folder: Path, *, count: int) -> None:
        """folder: of the supervisor and its processes. Raises OSError."""
        file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # In full now: a process that later writes where a full disk has no room is killed.
            if os.fstat(file).st_size < count and os.pwrite(file, bytes(count), 0) < count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / FILE))
            self._bytes = mmap.mmap(file, count)
        finally:
            os.close(file)

    def set(self, number: int, state: int) -> None:
        """Tell the state of a gateway."""
        self._bytes[number] = state

    def has(self, state: int, *, beside: int = -1) -> bool:
        """Return whether a gateway has a state, other than the one with the number `beside`."""
        return any(each == state for at, each in enumerate(self._bytes[:]) if at != beside)


class SharedPort:
    """The states as one of the gateways sees them."""

    def __init__(self, states: GatewayStates, number: int) -> None:
        self._states, self._number = states, number
        self._wait_until = math.inf

    def claim(self) -> bool:
        """Return whether to have the ports open before this gateway is ready."""
        # First told, then asked, as `ready` does: at least one of two sees the other.
        self._states.set(self._number, STARTING)
        return not self._states.has(READY, beside=self._number)

    def closed(self) -> None:
        """Tell that the ports are closed."""
        self._states.set(self._number, CLOSED)

    def ready(self) -> None:
        """Tell that this gateway is ready: those that are not close their ports."""
        self._states.set(self._number, READY)
        self._wait_until = time.monotonic() + CLOSING_S

    @property
    def is_ready(self) -> bool:
        """Whether `ready` was called."""
        return self._wait_until < math.inf

    def waits_for_others(self) -> bool:
        """Return whether this gateway should say that it is not ready, though it is.

        Who hears that it is may reach another one next, which still answers 503.
        """
        if not self.is_ready:
            return True
        others_start = self._states.has(STARTING, beside=self._number)
        return others_start and time.monotonic() < self._wait_until
