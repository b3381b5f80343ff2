"""Runs one training as a child process, and writes how it ended; a process of its own.

`python -m service.trainings.wrapper FOLDER`, with a line `go` on stdin: without it, because the
server has ended meanwhile, nothing is begun. SIGTERM cancels the training.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from common.errors import TimbreError
from service.trainings.folder import now, read_object, write_json
from service.trainings.record import EXIT, LOG, PROCESS, REQUEST

NICE = 10
MAX_LOG, KEPT_LOG = 2**20, 2**18
"""Bytes of the log past which it is cut, and its last ones that are kept."""
PATIENCE_S = 5.0
"""Seconds from SIGINT to SIGKILL."""
LOOK_S = 0.5
PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Run the training in a folder and return 0."""
    folder = Path(argv[0])
    if sys.stdin.readline() != "go\n":
        (folder / PROCESS).unlink(missing_ok=True)
        return 0
    os.nice(NICE)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A handler, not SIG_IGN: the child would inherit that.
        signal.signal(number, lambda signum, _: stopping.append(signum))
    try:
        outcome = _run(folder, read_object(folder / REQUEST) or {}, stopping)
    except (OSError, TimbreError, KeyError) as error:
        outcome = {"code": None, "why": f"it cannot be started: {error}"}
    write_json(folder / EXIT, {**outcome, "ended": now()})
    return 0


def _run(folder: Path, request: dict[str, Any], stopping: list[int]) -> dict[str, Any]:
    libc = ctypes.CDLL(None)

    def die_with_wrapper() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    with subprocess.Popen(  # noqa: S603 - this program itself
        request["command"],
        cwd=request["folder"],
        env=os.environ | request["environment"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        process_group=0,
        preexec_fn=die_with_wrapper,  # noqa: PLW1509 - this process has one thread
    ) as child:
        try:
            late = _watch(child, folder / LOG, stopping, deadline=request["limit_s"])
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    why = f"it took longer than {request['limit_s']:g} s (training_limit)" if late else ""
    return {"code": child.returncode, "why": why}


def _watch(child: subprocess.Popen[bytes], log: Path, stopping: list[int], deadline: float) -> bool:
    """Keep the log until the child ends; return whether it was ended by the time limit."""
    assert child.stdout  # it is a pipe
    os.set_blocking(child.stdout.fileno(), False)
    began, asked, late = time.monotonic(), 0.0, False
    with selectors.DefaultSelector() as selector, log.open("ab") as file:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            ended = child.poll() is not None
            # What a child of the child still holds open never ends.
            more = bool(selector.select(0 if ended else LOOK_S))
            if more:
                data = child.stdout.read(2**16)
                if data == b"":
                    selector.unregister(child.stdout)
                _keep(file, data or b"")
            elif ended:
                return late
            at = time.monotonic()
            late = late or at - began > deadline
            if (late or stopping) and not asked:
                asked = at
                os.killpg(child.pid, signal.SIGINT)
            elif asked and at - asked > PATIENCE_S and not ended:
                os.killpg(child.pid, signal.SIGKILL)


def _keep(file: IO[bytes], data: bytes) -> None:
    # A full disk must not end the training: it says so itself when it cannot write.
    with suppress(OSError):
        file.write(data)
        file.flush()
        if file.tell() > MAX_LOG:
            kept = Path(file.name).read_bytes()[-KEPT_LOG:]
            file.truncate(0)
            file.write(kept)
            file.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
