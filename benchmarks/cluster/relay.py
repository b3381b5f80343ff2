"""A cable that can be slow and lossy: two TAP devices, one on the bridge, one in a machine.

    python -m benchmarks.cluster.relay PORT PID     then lines `DELAY_MS LOSS` on its stdin

Of the kernel's own way, netem, many kernels have no module.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
MAX_FRAME = 2_048
MAX_PENDING = 10_000
"""Frames on their way; past it they are lost, as in any queue."""


@dataclass
class Cable:
    """Frames on their way, and when each arrives. Pure."""

    delay_s: float = 0.0
    loss: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secret
    lost: int = 0
    _pending: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _count: int = 0

    def send(self, end: int, frame: bytes, now: float) -> None:
        """Take a frame that is to come out at an end."""
        if self.random.random() < self.loss or len(self._pending) >= MAX_PENDING:
            self.lost += 1
            return
        self._count += 1
        heapq.heappush(self._pending, (now + self.delay_s, self._count, end, frame))

    def due(self, now: float) -> list[tuple[int, bytes]]:
        """Return the frames that have arrived, in order, each with its end."""
        arrived = []
        while self._pending and self._pending[0][0] <= now:
            _, _, end, frame = heapq.heappop(self._pending)
            arrived.append((end, frame))
        return arrived

    def wait_s(self, now: float) -> float | None:
        """Return in how many seconds the next frame arrives, None without one."""
        return max(0.0, self._pending[0][0] - now) if self._pending else None


def open_tap(name: str) -> int:
    """Make a TAP device; return its file descriptor."""
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return handle


def main(port: str, pid: str) -> None:
    """Relay until stdin ends."""
    inside = f"{port}-in"
    ends = [open_tap(port), open_tap(inside)]
    _ip("link", "set", inside, "name", "eth0", "netns", pid)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    cable = Cable()
    while True:
        readable, _, _ = select.select([*ends, 0], [], [], cable.wait_s(time.monotonic()))
        if 0 in readable:
            line = os.read(0, 100).decode()
            if not line:
                return
            delay_ms, cable.loss = map(float, line.split()[-2:])
            cable.delay_s = delay_ms / 1e3
        for at, end in enumerate(ends):
            if end in readable:
                _read_all(end, ends[1 - at], cable)
        for end, frame in cable.due(time.monotonic()):
            _write(end, frame)


def _read_all(end: int, other: int, cable: Cable) -> None:
    while True:
        try:
            cable.send(other, os.read(end, MAX_FRAME), time.monotonic())
        except OSError:  # none is left, or the device is down
            return


def _write(end: int, frame: bytes) -> None:
    try:
        os.write(end, frame)
    except OSError:  # a device that is down loses what comes
        return


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)  # noqa: S603, S607 - of this benchmark


if __name__ == "__main__":
    main(*sys.argv[1:3])
