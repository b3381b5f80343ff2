"""What tests of more than one folder share."""

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
RECORDINGS = Path(os.environ.get("TIMBRE_DATA", ROOT.parent / "shared" / "data"))
LONG = (
    "tests/test_docs.py",
    "tests/chaos",
    "tests/benchmarks",
    "tests/training/pipelines",
    "tests/training/pictures/learn",
    "tests/training/pictures/transfer",
    "tests/training/pictures/embeddings",
    "tests/training/search",
    "tests/training/recordings",
    "tests/training/studies",
    "tests/training",
    "tests/features/kernels/test_loader.py",
    "tests/service",
)
"""Where tests take long, those first that wait most of it."""

# Importing and collecting makes millions of objects, none of them garbage.
gc.disable()

# Set before the first import of what reads them: parallelism is processes, and the threads of
# several processes take the cores from each other.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Started in the background of a script, the tests and all that they start would ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine with other work is no fault of a test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(config, items):
    """Leave out what needs recordings that are not there; give the long tests to workers first."""
    if not RECORDINGS.is_dir():
        left_out = [item for item in items if "shared_data" in item.fixturenames]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]

    def rank(item):
        path = item.path.relative_to(ROOT).as_posix()
        return next((at for at, folder in enumerate(LONG) if path.startswith(folder)), len(LONG))

    if hasattr(config, "workerinput"):
        items.sort(key=rank)


def pytest_collection_finish():
    """Spare each later collection of garbage all that was imported until now."""
    gc.freeze()
    gc.enable()
    # Keras, librosa and matplotlib are imported later; at 700 that takes half as long again.
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, scores and pictures; TIMBRE_DATA may name it."""
    return RECORDINGS
