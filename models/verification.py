"""Loads an artefact in a process of its own first: one that never ends is ended by its time limit.

Nothing else ends a graph whose loop or operator does not end, or that crashes the runtime.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from common.errors import ArtefactError
from models.providers import CPU, Providers, missing_library

if TYPE_CHECKING:
    from models.store import Signature

Result = TypeVar("Result")

LIMIT_S = 30.0
"""Seconds that an artefact may take to load, verify and warm up, by default."""
PROGRESS_S = 10.0
"""Seconds between two reports of what takes long."""
MAX_REASON = 2_000
"""Characters."""
MEASURE = "--measure"
ROWS = 5
"""Runs of one row of which the median is told."""
ACCEPTED, REJECTED = 0, 3
"""Exit codes of the process."""


@dataclass(frozen=True)
class Measured:
    """How an artefact runs on a provider."""

    ms: float
    """Of one row, the median of a few."""
    off: float
    """The largest difference from the golden scores."""


def verify(
    folder: Path,
    *,
    limit_s: float,
    providers: Sequence[str] = (CPU,),
    waiting: Callable[[], None] | None = None,
) -> None:
    """Raise ArtefactError if an artefact does not load in a new process within the limit.

    providers: names, best first; the artefact must run on the first. waiting: called every
    PROGRESS_S seconds until it is loaded.
    """
    _output([str(folder), *providers], limit_s, waiting)


def measure(
    folder: Path,
    *,
    limit_s: float,
    providers: Sequence[str],
    waiting: Callable[[], None] | None = None,
) -> Measured:
    """Return how an artefact runs on the first of the providers; otherwise as `verify`."""
    ms, off = map(float, _output([str(folder), *providers, MEASURE], limit_s, waiting).split())
    return Measured(ms, off)


def _output(arguments: list[str], limit_s: float, waiting: Callable[[], None] | None) -> str:
    """Return what the process prints that loads an artefact. Raises ArtefactError."""
    command = [sys.executable, "-m", "models.verification", *arguments]
    # The process ends when its stdin does: it never outlives this one.
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(  # noqa: S603 - this program itself
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words
        ) as process,
    ):
        assert process.stdout  # it is a pipe
        try:
            code = _code(process, limit_s, waiting or (lambda: None))
        finally:
            process.kill()
        output = process.stdout.read().decode(errors="replace")
        words.seek(0)
        complaint = missing_library(words.read().decode(errors="replace"))
    if code == REJECTED:
        raise ArtefactError(f"{output} ({complaint})" if complaint else output)
    if code != ACCEPTED:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise ArtefactError(f"loading it ends the process, with {how}")
    return output


def _code(process: subprocess.Popen[bytes], limit_s: float, waiting: Callable[[], None]) -> int:
    until = time.monotonic() + limit_s
    while True:
        try:
            return process.wait(min(PROGRESS_S, max(0.0, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until:
                raise overdue(limit_s) from None
            waiting()


class Overdue(ArtefactError):
    """An artefact was not loaded in time."""


def overdue(limit_s: float) -> Overdue:
    """Return the error of an artefact that is not loaded in time."""
    return Overdue(f"not loaded and verified within {limit_s:g} s; it may never end")


def within(seconds: float, work: Callable[[], Result], *, late: Exception) -> Result:
    """Return the result of `work`, done in a thread, or raise what it raises.

    Raises `late` when it takes longer; the thread is abandoned and does not keep the process alive.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by the caller
            done.set_exception(error)

    threading.Thread(target=run, name="load", daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():
            raise
        raise late from None


class Verifier:
    """Verifies each version once, one at a time, until its files change. Thread-safe."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._outcomes: dict[Path, tuple[Signature, str]] = {}
        """Why a version is rejected; empty: it is not."""
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

    def record(self, folder: Path, signature: Signature, reason: str = "") -> None:
        """Remember an outcome that was found without a process of its own."""
        self._outcomes[folder] = (signature, reason)

    def _reason(self, folder: Path) -> str:
        try:
            verify(folder, limit_s=self.limit_s)
        except ArtefactError as error:
            return str(error)
        return ""


def _main(folder: Path, names: Sequence[str], *, measured: bool) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _be_killed_first()
    from models.golden import golden_deviation
    from models.store import read

    try:
        model = read(folder, providers=Providers(names=tuple(names)))
    except ArtefactError as error:
        sys.stdout.write(str(error)[:MAX_REASON])
        return REJECTED
    if names[0] in model.session.refused:
        sys.stdout.write(model.session.refused[names[0]][:MAX_REASON])
        return REJECTED
    if measured:
        row = np.zeros((1, *model.session.shape), model.session.dtype)
        times = []
        for _ in range(ROWS):
            begin = time.perf_counter()
            model.predict(row)
            times.append(1e3 * (time.perf_counter() - begin))
        off = golden_deviation(model, (folder / "golden.npz").read_bytes())
        sys.stdout.write(f"{sorted(times)[ROWS // 2]} {off}")
    return ACCEPTED


def _end_with_parent() -> None:
    # Not by sys.stdin, whose lock the interpreter wants when it ends.
    while os.read(0, 1):
        pass
    os._exit(1)


def _be_killed_first() -> None:
    """Have Linux end this process, not the server, if the graph takes all memory."""
    path = Path("/proc/self/oom_score_adj")
    if path.exists():
        path.write_text("1000")


if __name__ == "__main__":
    *arguments, last = sys.argv[1:]
    given = arguments if last == MEASURE else [*arguments, last]
    sys.exit(_main(Path(given[0]), given[1:], measured=last == MEASURE))
