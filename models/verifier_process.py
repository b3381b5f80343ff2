"""Loads artefacts in a process that may hang or crash: `models.verification` starts and ends it.

It reads a request a line from its standard input, JSON: the folder, the names of providers, and
whether to measure. For each it writes a line, JSON: `rejected` with the reason, or `provider`, and
`ms` and `off` where it was to measure. It ends with its input.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.strict_json import to_json

MAX_REASON = 2_000
"""Characters."""
ROWS = 5
"""Runs of one row of which the median is told."""


class Requests:
    """The lines of the standard input. At its end nobody waits for those that are left."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._working = self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> bytes:
        """Return the next line; empty at the end."""
        line = self._lines.get()
        with self._lock:
            if self._ended:
                return b""
            self._working = True
            return line

    def done(self) -> None:
        """Say that a line is worked off, before it is answered: the input may end then."""
        self._working = False

    def _read(self) -> None:
        # Not by sys.stdin, whose lock the interpreter wants when it ends.
        with open(0, "rb", closefd=False) as lines:
            for line in lines:
                self._lines.put(line)
        with self._lock:
            self._ended = True
            if self._working:
                # Who asked has ended, and the graph may never.
                os._exit(1)
        self._lines.put(b"")


def loaded(folder: Path, names: Sequence[str], *, measured: bool) -> dict[str, Any]:
    """Return the answer to a request."""
    from common.errors import ArtefactError
    from models.providers import Providers
    from models.store import read

    try:
        model = read(folder, providers=Providers(names=tuple(names)))
    except ArtefactError as error:
        return {"rejected": str(error)[:MAX_REASON]}
    if why := model.session.refused.get(names[0]):
        return {"rejected": why[:MAX_REASON]}
    answer: dict[str, Any] = {"provider": model.session.provider}
    return answer | (_measured(model, folder) if measured else {})


def _measured(model: Any, folder: Path) -> dict[str, float]:
    import numpy as np

    from models.golden import golden_deviation

    row = np.zeros((1, *model.session.shape), model.session.dtype)
    times = []
    for _ in range(ROWS):
        begin = time.perf_counter()
        model.predict(row)
        times.append(1e3 * (time.perf_counter() - begin))
    off = golden_deviation(model, (folder / "golden.npz").read_bytes())
    return {"ms": sorted(times)[ROWS // 2], "off": off}


def _be_killed_first() -> None:
    """Have Linux end this process, not the server, if a graph takes all memory."""
    path = Path("/proc/self/oom_score_adj")
    if path.exists():
        path.write_text("1000")


def main() -> None:
    """Answer requests until the standard input ends."""
    # What a library prints must not be read as an answer.
    answers = os.dup(1)
    os.dup2(2, 1)
    requests = Requests()
    _be_killed_first()
    while line := requests.next():
        folder, names, measured = json.loads(line)
        answer = to_json(loaded(Path(folder), names, measured=measured)).encode()
        requests.done()
        os.write(answers, answer + b"\n")
    # The interpreter's own end takes longer, and says nothing of an artefact.
    os._exit(0)


if __name__ == "__main__":
    main()
