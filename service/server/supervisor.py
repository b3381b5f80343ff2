"""Several gateways on one port, and workers: started, watched, restarted, ended together."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from setproctitle import setproctitle

from service.log import log
from service.server.sockets import bind
from service.settings import Settings

SILENCE_S = 20.0
"""A process whose loop has not turned for so long is replaced."""
START_S = 60.0
"""The same, before its first turn: on a busy machine what it imports takes a while."""
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before a process that keeps dying is started again."""
STEADY_S = 30.0
"""A process that lived so long begins again at the shortest pause."""
MEMORY = Path("/dev/shm")  # noqa: S108 - only folders made by mkdtemp are put there
"""Where files are that no disk has."""
context = multiprocessing.get_context("spawn")


@dataclass
class Child:
    """One gateway or worker process, or the wait for its next start."""

    role: str
    number: int
    process: BaseProcess | None = None
    pulse: Connection | None = None
    started: float = 0.0
    heard: float = 0.0
    deaths: int = 0
    due: float = 0.0


class Supervisor:
    """Keeps as many gateways and workers alive as the settings ask for, until told to stop."""

    def __init__(self, settings: Settings, *, since: float) -> None:
        """Bind the port without listening, so that it stays ours. Raises OSError when it is taken."""
        # Without SO_REUSEPORT first: otherwise another server's port would be shared in silence.
        bind(settings).close()
        self._reserved = bind(settings, shared=True)
        self.settings = replace(settings, port=self._reserved.getsockname()[1])
        self._since = since
        self._limits_folder = (
            _folder() if settings.keys and not settings.redis and settings.gateways > 1 else None
        )
        counts = {"gateway": settings.gateways, "worker": settings.workers if settings.redis else 0}
        self._children = [
            Child(role, number) for role, count in counts.items() for number in range(count)
        ]
        self._signals: list[int] = []
        self._wake, waker = socket.socketpair()
        waker.setblocking(False)
        self._waker = waker

    def run(self) -> int:
        """Start, watch, restart; on SIGTERM or SIGINT end all and return."""
        signal.set_wakeup_fd(self._waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: self._signals.append(received))
        while not self._signals:
            self._watch()
        self._end()
        return 0

    def _watch(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None:
                if child.due <= now:
                    self._start(child)
            elif not child.process.is_alive():
                self._bury(child, now)
            elif now - child.heard > SILENCE_S:
                log(f"{child.role} hangs", number=child.number, pid=child.process.pid)
                child.process.kill()
                # Until its end is seen.
                child.heard = now
        self._wait()

    def _wait(self) -> None:
        """Block until something happens: a signal, a death, a pulse, or a second."""
        pulses = {child.pulse: child for child in self._children if child.pulse}
        sentinels = [child.process.sentinel for child in self._children if child.process]
        for each in wait([self._wake, *pulses, *sentinels], timeout=1.0):
            if isinstance(each, Connection):
                self._hear(pulses[each])

    def _hear(self, child: Child) -> None:
        try:
            if child.pulse:
                child.pulse.recv_bytes()
            child.heard = time.monotonic()
        except EOFError:
            child.pulse = None  # its end is seen by the sentinel

    def _start(self, child: Child) -> None:
        receiver, sender = context.Pipe(duplex=False)
        arguments = (
            child.role,
            child.number,
            self.settings,
            sender,
            self._since,
            self._limits_folder,
        )
        child.process = context.Process(target=_be, args=arguments)
        child.process.start()
        sender.close()
        child.pulse = receiver
        child.started = time.monotonic()
        child.heard = child.started + START_S - SILENCE_S
        log(f"{child.role} started", number=child.number, pid=child.process.pid)

    def _bury(self, child: Child, now: float) -> None:
        assert child.process is not None
        child.deaths = 1 if now - child.started > STEADY_S else child.deaths + 1
        pause = BACKOFF_S[min(child.deaths, len(BACKOFF_S)) - 1]
        log(
            f"{child.role} died", number=child.number, code=child.process.exitcode, again_in_s=pause
        )
        child.process, child.pulse, child.due = None, None, now + pause

    def _end(self) -> None:
        """Pass the word on, wait a little longer than the grace, then insist; workers last, for gateways need them."""
        for role in ("gateway", "worker"):
            alive = [
                child.process for child in self._children if child.process and child.role == role
            ]
            for each in alive:
                each.terminate()
            until = time.monotonic() + self.settings.grace + 5
            for each in alive:
                each.join(max(0.0, until - time.monotonic()))
                if each.is_alive():
                    each.kill()
        if self._limits_folder:
            shutil.rmtree(self._limits_folder, ignore_errors=True)


def _folder() -> Path:
    """Return a new folder for what gateways count together, in memory where that can be."""
    return Path(
        tempfile.mkdtemp(prefix="timbre-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    )


def _be(
    role: str,
    number: int,
    settings: Settings,
    pulse: Connection,
    since: float,
    limits_folder: Path | None,
) -> None:
    """Be one gateway or worker, in a process of its own."""
    setproctitle(f"timbre: {role} {number}")

    def beat() -> None:
        if pulse.closed:
            return
        try:
            pulse.send_bytes(b".")
        except OSError:
            # Nobody would end us any more, and we would keep the port.
            log("the supervisor is gone", role=role, number=number)
            pulse.close()
            if limits_folder:
                shutil.rmtree(limits_folder, ignore_errors=True)
            signal.raise_signal(signal.SIGTERM)

    if role == "worker":
        from service.server import worker

        raise SystemExit(worker.run(settings, number=number, heartbeat=beat))
    from service.server import gateway_process

    listener = bind(settings, shared=True)
    shared_limits = None
    if limits_folder:
        from service.auth.file_limits import FileLimits

        shared_limits = FileLimits(limits_folder, number=number)
    raise SystemExit(
        gateway_process.run(settings, listener, since=since, beat=beat, shared_limits=shared_limits)
    )
