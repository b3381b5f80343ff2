"""Processes that outlive the server: recognised by pid, start time and boot, ended by session."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def identity(pid: int) -> str:
    """Return what tells a process from a later one with its pid; "" if it does not run."""
    if PROC.joinpath("self").exists():
        fields = _stat(pid)
        if not fields or fields[0] in "ZX":
            return ""
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {fields[19]}"
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    state, _, start = found.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else start.strip()


def is_running(pid: int, known: str) -> bool:
    """Return whether the process with that pid and identity still runs."""
    return bool(known) and identity(pid) == known


def end_session(leader: int, known: str) -> None:
    """Kill what is left of the session that a process began, the process itself included.

    known: its identity: a later process with the same pid is left alone.
    """
    if identity(leader) not in ("", known):
        return
    for pid in _members(leader):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _members(session: int) -> Iterator[int]:
    if not PROC.is_dir():
        return
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields and fields[3] == str(session) and fields[0] not in "ZX":
                yield int(entry.name)


def _stat(pid: int) -> list[str]:
    """Return the fields of proc(5) stat from the state on: state, parent, group, session, ..."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return []
    return text.rpartition(")")[2].split()
