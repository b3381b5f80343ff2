"""Loads an artefact in a process of its own first: one that never ends is ended by its time limit.

Nothing else ends a graph whose loop or operator does not end, or that crashes the runtime.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from common.errors import ArtefactError
from common.strict_json import to_json
from models.processor_time import of_process, of_this_thread
from models.providers import CPU, missing_library

if TYPE_CHECKING:
    from models.store import Signature

Result = TypeVar("Result")
Report: TypeAlias = Callable[[float, float], None]
"""Gets how long something takes: seconds by the wall clock, and those on a processor."""

LIMIT_S = 30.0
"""Seconds that an artefact may take to load, verify and warm up, by default."""
PATIENCE = 20
"""Times the limit, by the wall clock, for an artefact that gets little of a processor, or waits."""
PROGRESS_S = 10.0
"""Seconds between two reports of what takes long."""
ROUND_S = 1.0
"""Seconds more for a thread, whose runs end by themselves at the limit between two operators."""
LEAST_S = 0.05
"""Seconds between two looks at a clock."""


@dataclass(frozen=True)
class Measured:
    """How an artefact runs on a provider."""

    ms: float
    """Of one row, the median of a few."""
    off: float
    """The largest difference from the golden scores."""


def nothing() -> None:
    """Do nothing."""


class VerifierProcess:
    """A process that loads one artefact after the other; one that ends it, or is late, ends it.

    The next one is loaded in a new process then. Used by one thread at a time.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(kill=error is not None)
        self._words.close()

    def load(
        self,
        folder: Path,
        *,
        limit_s: float,
        providers: Sequence[str] = (CPU,),
        measured: bool = False,
        report: Callable[[], None] = nothing,
    ) -> dict[str, Any]:
        """Return what `models.verifier_process` answers. Raises ArtefactError with the reason.

        limit_s: seconds, of processor time where the artefact runs on the processor. report:
        called every PROGRESS_S seconds until the artefact is loaded.
        """
        process = self._started()
        assert process.stdin  # it is a pipe
        words_before = self._words.seek(0, 2)
        line = to_json([str(folder), list(providers), measured]).encode() + b"\n"
        # Where it has ended already, its answer is none.
        with suppress(BrokenPipeError):
            process.stdin.write(line)
            process.stdin.flush()
        on_processor = tuple(providers) == (CPU,)
        answer = self._answer(process, limit_s, report, on_processor=on_processor)
        if not answer:
            code = self._end()
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise ArtefactError(f"loading it ends the process, with {how}")
        found: dict[str, Any] = json.loads(answer)
        if reason := found.get("rejected"):
            self._words.seek(words_before)
            complaint = missing_library(self._words.read().decode(errors="replace"))
            raise ArtefactError(f"{reason} ({complaint})" if complaint else reason)
        return found

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            command = [sys.executable, "-m", "models.verifier_process"]
            # The process ends when its stdin does: it never outlives this one.
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words
            )
            self._answers = queue.SimpleQueue()
            reading = (self._process.stdout, self._answers)
            threading.Thread(target=_read, args=reading, daemon=True).start()
        return self._process

    def _answer(
        self,
        process: subprocess.Popen[bytes],
        limit_s: float,
        report: Callable[[], None],
        *,
        on_processor: bool,
    ) -> bytes:
        """Return a line, empty where the process has ended. Raises Overdue."""
        clock = of_process(process.pid) if on_processor else time.monotonic
        begin, since = clock(), time.monotonic()
        pause = limit_s
        while True:
            try:
                return self._answers.get(timeout=min(pause, PROGRESS_S))
            except queue.Empty:
                pass
            try:
                used = clock() - begin
            except OSError:  # it has ended, and the answer is on its way
                pause = LEAST_S
                continue
            waited = time.monotonic() - since
            if used >= limit_s or waited >= PATIENCE * limit_s:
                self._end(kill=True)
                raise overdue(limit_s) if used >= limit_s else starved(waited, used)
            pause = max(LEAST_S, limit_s - used)
            report()

    def _end(self, *, kill: bool = False) -> int:
        """End the process, if there is one; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin  # it is a pipe
        if kill:
            process.kill()
        with suppress(BrokenPipeError):
            process.stdin.close()
        code = process.wait()
        if process.stdout:
            process.stdout.close()
        return code


def _read(lines: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Put each line, and an empty one at the end."""
    with suppress(ValueError, OSError):  # closed meanwhile
        for line in lines:
            answers.put(line)
    answers.put(b"")


def verify(
    folder: Path,
    *,
    limit_s: float,
    providers: Sequence[str] = (CPU,),
    report: Callable[[], None] = nothing,
) -> None:
    """Raise ArtefactError if an artefact does not load in a new process within the limit.

    providers: names, best first; the artefact must run on the first. report: called every
    PROGRESS_S seconds until it is loaded.
    """
    with VerifierProcess() as process:
        process.load(folder, limit_s=limit_s, providers=providers, report=report)


def measure(
    folder: Path,
    *,
    limit_s: float,
    providers: Sequence[str],
    report: Callable[[], None] = nothing,
) -> Measured:
    """Return how an artefact runs on the first of the providers; otherwise as `verify`."""
    with VerifierProcess() as process:
        found = process.load(
            folder, limit_s=limit_s, providers=providers, report=report, measured=True
        )
    return Measured(found["ms"], found["off"])


class Overdue(ArtefactError):
    """An artefact was not loaded in time."""


class Abandoned(Overdue):
    """The thread that loads it cannot be ended, and may go on for ever."""


def overdue(limit_s: float) -> Overdue:
    """Return the error of an artefact that is not loaded in time."""
    return Overdue(f"not loaded and verified within {limit_s:g} s; it may never end")


def starved(waited: float, used: float) -> Overdue:
    """Return the error of an artefact that waited too long, for a processor or anything else."""
    return Overdue(
        f"not loaded and verified within {waited:.0f} s, in which it had a processor for {used:.1f}"
    )


def no_report(_waited: float, _used: float) -> None:
    """Report nothing."""


def within(
    limit_s: float,
    work: Callable[[], Result],
    *,
    more_s: float = 0.0,
    report: Report = no_report,
) -> Result:
    """Return the result of `work`, done in a thread, or raise what it raises.

    Raises Abandoned when it takes longer; the thread does not keep the process alive. limit_s:
    seconds of processor time, and PATIENCE times as many by the wall clock. more_s: by the wall
    clock, for what other processes do for it. report: called every PROGRESS_S seconds with the
    seconds that were waited and those of processor time.
    """
    done: Future[Result] = Future()
    clocks: queue.SimpleQueue[Callable[[], float]] = queue.SimpleQueue()

    def run() -> None:
        clocks.put(of_this_thread())
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by the caller
            done.set_exception(error)

    threading.Thread(target=run, name="load", daemon=True).start()
    clock, since, used, waited = clocks.get(), time.monotonic(), 0.0, 0.0
    longest = PATIENCE * limit_s + more_s
    while True:
        left = min(limit_s + ROUND_S - used, longest - waited)
        if wait((done,), min(PROGRESS_S, max(LEAST_S, left))).done:
            return done.result()
        waited = time.monotonic() - since
        with suppress(OSError):  # it has ended meanwhile
            used = clock()
        if used >= limit_s + ROUND_S:
            raise Abandoned(str(overdue(limit_s)))
        if waited >= longest:
            raise Abandoned(str(starved(waited, used)))
        report(waited, used)


class Verifier:
    """Verifies each version once, one at a time, until its files change. Thread-safe."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._outcomes: dict[Path, tuple[Signature, str]] = {}
        """Why a version is rejected; empty: it is not."""
        self.abandoned = False
        """Whether a thread was left that loads a version."""
        self._lock = threading.Lock()

    def check(self, folder: Path, signature: Signature) -> None:
        """Raise ArtefactError if the artefact is rejected. signature: of its files."""
        reason = self._known(folder, signature)
        if reason is None:
            with self._lock:
                reason = self._known(folder, signature)
                if reason is None:
                    reason = self._reason(folder)
                    self._outcomes[folder] = (signature, reason)
        if reason:
            raise ArtefactError(reason)

    def _known(self, folder: Path, signature: Signature) -> str | None:
        known, reason = self._outcomes.get(folder, ((), ""))
        return reason if known == signature else None

    def load(
        self,
        folder: Path,
        signature: Signature,
        work: Callable[[], Result],
        *,
        more_s: float = 0.0,
        report: Report = no_report,
    ) -> Result:
        """Return what `work` does, which loads a version, as `within` does.

        A version that is not loaded is rejected by `check` until its files change; one that was
        accepted before only if it was abandoned, for all else may pass.
        """
        try:
            result = within(self.limit_s, work, more_s=more_s, report=report)
        except ArtefactError as error:
            abandoned = isinstance(error, Abandoned)
            self.abandoned |= abandoned
            if abandoned or self._known(folder, signature) is None:
                self.record(folder, signature, str(error))
            raise
        self.record(folder, signature)
        return result

    def record(self, folder: Path, signature: Signature, reason: str = "") -> None:
        """Remember an outcome that was found without a process of its own."""
        self._outcomes[folder] = (signature, reason)

    def _reason(self, folder: Path) -> str:
        try:
            verify(folder, limit_s=self.limit_s)
        except ArtefactError as error:
            return str(error)
        return ""
