"""Starts, watches, restarts and stops gateway and worker processes; gateways share one port."""

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

from service.auth.limits import SharedLimits
from service.event_feed.feed import Bus
from service.lifecycle import CLEANUP_S, STOP_SIGNALS
from service.log import configure, log
from service.metrics.metrics import Metrics
from service.server.gateway_states import CLOSED, READY, GatewayStates, SharedPort
from service.server.heartbeat import HEARTBEAT_TIMEOUT_S
from service.server.sockets import bind, bind_address
from service.server.systemd import Systemd
from service.settings import Settings

CANNOT_SERVE = 3
"""Exit code of a gateway that has logged the reason; 1 is that of any error in Python."""
START_S = 60.0
"""It has so long until its first heartbeat: imports take a while on a busy machine."""
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before a process that ends again and again is restarted."""
BACKOFF_RESET_S = 30.0
"""A process that lived so long is restarted after the shortest pause."""
LEAST_S = 0.5
"""Workers have so long to end if the gateways took all of the grace period."""
MEMORY = Path("/dev/shm")  # noqa: S108 - only folders made by mkdtemp are put there
"""Folder of files that exist in memory only."""
context = multiprocessing.get_context("spawn")


@dataclass
class Child:
    """One gateway or worker process, or the pause before its restart."""

    role: str
    number: int
    process: BaseProcess | None = None
    heartbeats: Connection | None = None
    started: float = 0.0
    last_heartbeat: float = 0.0
    exits: int = 0
    cannot_serve: bool = False
    """Whether it is a gateway that has ended with the exit code of that, and is not started yet."""
    due: float = 0.0


class Supervisor:
    """Keeps as many gateways and workers running as the settings say, until it gets a signal."""

    def __init__(self, settings: Settings, *, since: float) -> None:
        """Bind the port without listening, to reserve it. Raises OSError when it is in use.

        since: time.monotonic() at the start of the program.
        """
        # Without SO_REUSEPORT first: otherwise another server's port would be shared unnoticed.
        bind(settings).close()
        self._reserved = bind(settings, shared=True)
        if settings.metrics_port:
            bind_address(settings.metrics_host, settings.metrics_port).close()
        self.settings = replace(settings, port=self._reserved.getsockname()[1])
        if settings.grpc_port >= 0:
            for_grpc = replace(settings, port=settings.grpc_port, grpc_port=-1)
            bind(for_grpc).close()
            self._reserved_for_grpc = bind(for_grpc, shared=True)
            port = self._reserved_for_grpc.getsockname()[1]
            self.settings = replace(self.settings, grpc_port=port)
        self._since = since
        self._shared_folder = _memory_folder()
        self._metrics = Metrics(self._shared_folder, "supervisor-0")
        self._states = GatewayStates(self._shared_folder, count=settings.gateways)
        counts = {"gateway": settings.gateways, "worker": settings.workers if settings.redis else 0}
        self._children = [
            Child(role, number) for role, count in counts.items() for number in range(count)
        ]
        self._systemd = Systemd()
        self._ready = False
        self._signals: list[int] = []
        self._wake, signal_socket = socket.socketpair()
        signal_socket.setblocking(False)
        self._signal_socket = signal_socket

    def run(self) -> int:
        """Start, watch and restart the processes; on SIGTERM or SIGINT stop all and return.

        1 if no gateway can serve, and none has been ready: the next ones could not either.
        """
        signal.set_wakeup_fd(self._signal_socket.fileno())
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        while not (self._signals or self._cannot_serve):
            self._watch()
            self._tell_systemd()
        self._systemd.stopping()
        self._stop()
        return int(self._cannot_serve)

    @property
    def _cannot_serve(self) -> bool:
        gateways = [child for child in self._children if child.role == "gateway"]
        return not self._ready and all(child.cannot_serve for child in gateways)

    def _on_signal(self, number: int, _: object) -> None:
        self._signals.append(number)
        if len(self._signals) > 1:
            for child in self._children:
                if child.process:
                    child.process.kill()
            self._remove_shared()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _watch(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None:
                if child.due <= now:
                    self._start(child)
            elif not child.process.is_alive():
                self._schedule_restart(child, now)
            elif now - child.last_heartbeat > HEARTBEAT_TIMEOUT_S:
                log(f"{child.role} unresponsive", number=child.number, pid=child.process.pid)
                child.process.kill()
                # Not again before its exit is noticed.
                child.last_heartbeat = now
        self._wait()

    def _tell_systemd(self) -> None:
        if not self._ready and self._states.has(READY):
            self._ready = True
            self._systemd.ready()
        self._systemd.alive()

    def _wait(self) -> None:
        """Block until a signal, an exit or a heartbeat, for a second at most."""
        pipes = {child.heartbeats: child for child in self._children if child.heartbeats}
        sentinels = [child.process.sentinel for child in self._children if child.process]
        for ready in wait([self._wake, *pipes, *sentinels], timeout=1.0):
            if isinstance(ready, Connection):
                self._receive_heartbeat(pipes[ready])

    def _receive_heartbeat(self, child: Child) -> None:
        try:
            if child.heartbeats:
                child.heartbeats.recv_bytes()
            child.last_heartbeat = time.monotonic()
        except EOFError:
            child.heartbeats = None  # the sentinel reports its exit

    def _start(self, child: Child) -> None:
        receiver, sender = context.Pipe(duplex=False)
        child.process = context.Process(
            target=_run_child,
            args=(
                child.role,
                child.number,
                self.settings,
                sender,
                self._since,
                self._shared_folder,
            ),
        )
        child.process.start()
        child.cannot_serve = False
        if child.exits:
            self._metrics.restarts.add(child.role)
        sender.close()
        child.heartbeats = receiver
        child.started = time.monotonic()
        child.last_heartbeat = child.started + START_S - HEARTBEAT_TIMEOUT_S
        log(f"{child.role} started", number=child.number, pid=child.process.pid)

    def _schedule_restart(self, child: Child, now: float) -> None:
        assert child.process is not None
        child.exits = 1 if now - child.started > BACKOFF_RESET_S else child.exits + 1
        pause = BACKOFF_S[min(child.exits, len(BACKOFF_S)) - 1]
        log(
            f"{child.role} exited",
            number=child.number,
            code=child.process.exitcode,
            again_in_s=pause,
        )
        if child.role == "gateway":
            self._states.set(child.number, CLOSED)
            child.cannot_serve = child.process.exitcode == CANNOT_SERVE
        child.process, child.heartbeats, child.due = None, None, now + pause
        # Opened, its gauges are 0: what it held open is gone.
        Metrics(self._shared_folder, _name(child.role, child.number))

    def _stop(self) -> None:
        """Terminate, wait a little longer than the grace period, kill; gateways need workers."""
        until = time.monotonic() + self.settings.grace + CLEANUP_S + 1
        for role in ("gateway", "worker"):
            alive = [
                child.process for child in self._children if child.process and child.role == role
            ]
            for process in alive:
                process.terminate()
            for process in alive:
                process.join(max(LEAST_S, until - time.monotonic()))
                if process.is_alive():
                    process.kill()
                    process.join()
        self._remove_shared()

    def _remove_shared(self) -> None:
        shutil.rmtree(self._shared_folder, ignore_errors=True)


def _memory_folder() -> Path:
    """Return a new folder, in memory where possible."""
    return Path(
        tempfile.mkdtemp(prefix="timbre-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    )


def _run_child(
    role: str,
    number: int,
    settings: Settings,
    heartbeats: Connection,
    since: float,
    shared_folder: Path,
) -> None:
    """Run one gateway or worker in its own process."""
    # A terminal sends it to all processes at once: the supervisor ends the gateways first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setproctitle(f"timbre: {role} {number}")
    configure(**settings.log_options)

    def heartbeat() -> None:
        _send_heartbeat(heartbeats, shared_folder, role=role, number=number)

    metrics = Metrics(shared_folder, _name(role, number))
    if role == "worker":
        from service.server import worker

        # The gateways answer for all processes of the machine.
        settings = replace(settings, metrics_port=0)
        raise SystemExit(worker.run(settings, number=number, heartbeat=heartbeat, metrics=metrics))
    from service.server import gateway_process

    listener = bind(settings, shared=True)
    shared_limits, event_bus = _shared(settings, shared_folder, number=number)
    failed = gateway_process.run(
        settings,
        listener,
        since=since,
        heartbeat=heartbeat,
        shared_limits=shared_limits,
        event_bus=event_bus,
        metrics=metrics,
        shared_port=SharedPort(GatewayStates(shared_folder, count=settings.gateways), number),
    )
    raise SystemExit(CANNOT_SERVE if failed else 0)


def _name(role: str, number: int) -> str:
    return f"{role}-{number}"


def _shared(
    settings: Settings, folder: Path, *, number: int
) -> tuple[SharedLimits | None, Bus | None]:
    """Return what a gateway shares with the others of this machine, if not through Redis."""
    if settings.redis or settings.gateways == 1:
        return None, None
    from service.auth.file_limits import FileLimits
    from service.event_feed.local_bus import LocalBus

    limits, events = folder / "limits", folder / "events"
    for each in (limits, events):
        each.mkdir(exist_ok=True)
    shared_limits = FileLimits(limits, number=number) if settings.keys else None
    return shared_limits, LocalBus(events, number=number)


def _send_heartbeat(heartbeats: Connection, shared_folder: Path, *, role: str, number: int) -> None:
    if heartbeats.closed:
        return
    try:
        heartbeats.send_bytes(b".")
    except OSError:
        # Without a supervisor nothing would stop this process, and it would keep the port.
        log("supervisor exited", role=role, number=number)
        heartbeats.close()
        shutil.rmtree(shared_folder, ignore_errors=True)
        signal.raise_signal(signal.SIGTERM)
