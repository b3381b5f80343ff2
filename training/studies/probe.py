"""What one window costs a model, measured in a process of its own that holds nothing else.

    python -m training.studies.probe MODEL ROW.npy [MODULE ...]

prints one line of JSON: `ms`, the median time of one window; `mb`, how much memory grew by loading
the model and scoring it (null where the system does not report it). The modules are imported
before, so that no library counts as model.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.strict_json import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

RUNS = 30
STATM = Path("/proc/self/statm")


def probe(learner: Any, row: npt.NDArray[Any], modules: Sequence[str]) -> dict[str, float | None]:
    """Return `ms` and `mb` of one window, `size_mb` of the model (joblib). row: (1, ...)."""
    import joblib

    with tempfile.TemporaryDirectory(prefix="timbre-probe-") as folder:
        model, one = Path(folder, "model.joblib"), Path(folder, "row.npy")
        joblib.dump(learner, model)
        np.save(one, row)
        command = [sys.executable, "-m", "training.studies.probe", str(model), str(one), *modules]
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        answer = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=True, env=environment, cwd=root
        )
        found: dict[str, float | None] = json.loads(answer.stdout)
        return {**found, "size_mb": model.stat().st_size / 1e6}


def measure(model: Path, row: Path, modules: Sequence[str]) -> dict[str, float | None]:
    """Return `ms` and `mb`, measured in this process."""
    import joblib

    for module in modules:
        importlib.import_module(module)
    one = np.load(row)
    gc.collect()
    before = _resident()
    learner = joblib.load(model)
    learner.scores(one)
    after = _resident()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        learner.scores(one)
        times.append(time.perf_counter() - start)
    grown = None if before is None or after is None else max(0.0, after - before) / 1e6
    return {"ms": float(np.median(times)) * 1e3, "mb": grown}


def _resident() -> float | None:
    if not STATM.exists():
        return None
    return float(int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


if __name__ == "__main__":
    print(to_json(measure(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])))
