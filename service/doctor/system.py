"""Checks of the machine: clock, folders, file descriptors."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from service.doctor.finding import Finding, attention, bad, good, graded
from service.server.connections import OTHER_DESCRIPTORS

MIB = 2**20
FULL, LOW = 100 * MIB, 1_024 * MIB
"""Bytes free on a disk, below which it is bad, or needs attention."""
SKEW_S = 2.0
"""Seconds that two clocks may differ."""
FAR_FUTURE_S = 20 * 365 * 86_400.0
"""Seconds after the newest artefact from which on a clock is not believed."""
SET_CLOCK = "set the clock: timedatectl set-ntp true; a board without a battery loses it"


def check_clock(now: float, newest: float) -> Finding:
    """Compare the clock with the newest artefact, which was made in the past.

    now, newest: seconds since 1970; newest is 0 without an artefact.
    """
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < newest:
        made = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d")
        return bad("clock", f"{shown}, before {made}, when an artefact was made", SET_CLOCK)
    if newest and now > newest + FAR_FUTURE_S:
        return bad("clock", f"{shown}, 20 years after the newest artefact", SET_CLOCK)
    return good("clock", shown)


def check_skew(what: str, seconds: float) -> Finding:
    """Judge by how much another clock is ahead of this one."""
    direction = "ahead of" if seconds > 0 else "behind"
    return graded(
        f"clock of {what}",
        f"{abs(seconds):.1f} s {direction} this one",
        bad_if=False,
        attention_if=abs(seconds) > SKEW_S,
        todo="set both clocks by NTP: times in logs and of events do not fit together",
    )


def check_descriptors(hard: int | None, *, connections: int, streams: int) -> Finding:
    """Compare the hard limit of file descriptors, None if there is none, with what is served.

    connections, streams: of one gateway; a stream is a connection.
    """
    shown = "no limit" if hard is None else f"at most {hard:,}"
    found = f"{shown}; {connections:,} connections and {streams:,} streams per gateway need "
    required = connections + OTHER_DESCRIPTORS
    least = min(streams, connections) + OTHER_DESCRIPTORS
    return graded(
        "file descriptors",
        f"{found}{required:,}",
        bad_if=hard is not None and hard < least,
        attention_if=hard is not None and hard < required,
        todo=f"ulimit -Hn {required}, LimitNOFILE={required} in a systemd unit, or a lower "
        "max_connections",
    )


def check_readable(what: str, folder: Path) -> Finding:
    """Check that a folder can be listed."""
    try:
        count = len(os.listdir(folder))  # noqa: PTH208 - one call, and its error
    except OSError as error:
        return bad(what, f"{folder}: {error.strerror}", "name another folder, or create it")
    return good(what, f"{folder}, {count} entries")


def check_writable(
    what: str, folder: Path, *, low: int = LOW, consequence: str, bad_if_not: bool = False
) -> Finding:
    """Write a file into a folder, or the nearest above it that exists, and judge the free space.

    low: bytes below which the space needs attention. consequence: what is lost if nothing can be
    written. bad_if_not: whether that is bad.
    """
    place = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    try:
        with tempfile.NamedTemporaryFile(dir=place) as file:
            file.write(b"\0" * 4_096)
            file.flush()
        free = shutil.disk_usage(place).free
    except OSError as error:
        judge = bad if bad_if_not else attention
        found = f"{folder}: {error.strerror}; {consequence}"
        return judge(what, found, f"make room in {place}, or let this user write there")
    return check_space(what, folder, free, low=low)


def check_space(what: str, folder: Path, free: int, *, low: int = LOW) -> Finding:
    """Judge the bytes free in a folder."""
    return graded(
        what,
        f"{folder}, {size(free)} free",
        bad_if=free < FULL,
        attention_if=free < low,
        todo=f"make room: at least {size(FULL if free < FULL else low)} should be free",
    )


def newest(created: Iterable[str]) -> float:
    """Return the latest of ISO 8601 times as seconds since 1970; 0 without one."""
    return max((datetime.fromisoformat(each).timestamp() for each in created), default=0.0)


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1_024:
            return f"{count:.0f} {unit}"
        count /= 1_024
    return f"{count:.1f} GiB"


def hard_limit() -> int | None:
    """Return how many file descriptors a process may be allowed; None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard
