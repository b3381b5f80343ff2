"""Free memory against what the settings allow the server to use."""

from __future__ import annotations

from pathlib import Path

from service.doctor.finding import Finding, attention, bad, good
from service.doctor.system import MIB, size
from service.settings import Settings

PROCESS = 150 * MIB
"""Of a gateway or worker with the shipped models."""
STREAM = MIB // 2
"""Of an active stream."""
PIXEL = 9
"""Bytes that decoding takes a pixel."""


def check_memory(available: int, settings: Settings) -> Finding:
    """Compare the bytes available with those of the idle server and of all its limits."""
    least, most = demand(settings)
    found = (
        f"{size(available)} available; the server needs {size(least)}, its limits allow "
        f"{size(most)}"
    )
    if available < least:
        return bad("memory", found, "fewer gateways and workers, fewer models, or more memory")
    if available < most:
        return attention(
            "memory",
            found,
            "for full safety lower max_pixels, decode_threads, max_buffered, max_job_bytes or "
            "max_streams (SETTINGS.md)",
        )
    return good("memory", found)


def demand(settings: Settings) -> tuple[int, int]:
    """Return the bytes that an idle server takes, and those that its limits allow in all."""
    workers = settings.workers if settings.redis else 0
    least = PROCESS * (settings.gateways + workers)
    gateway = (
        settings.max_buffered
        + 2 * settings.max_job_bytes
        + settings.decode_threads * PIXEL * settings.max_pixels
        + settings.max_streams * STREAM
    )
    return least, least + settings.gateways * gateway


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that may still be used: of the machine, or of the control group if less.

    None where the system does not say. root: of /proc and /sys.
    """
    found = [_machine(root), *_groups(root)]
    return min((each for each in found if each is not None), default=None)


def _machine(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1_024
    return None


def _groups(root: Path) -> list[int]:
    """Return what each control group above this process leaves, by version 2 and version 1."""
    left = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = top / path.strip("/")
        # In a container the path may be that of the host; its own group is at the top then.
        for each in (top, *(g for g in (group, *group.parents) if top in g.parents)):
            limit, used = (_text(each / name).strip() for name in names)
            if limit.isdecimal() and used.isdecimal():
                left.append(max(0, int(limit) - int(used)))
    return left


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
