"""What tests of more than one folder share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONG = (
    "tests/training/pipelines",
    "tests/training/pictures/learn",
    "tests/chaos",
    "tests/training/search",
    "tests/training/recordings",
    "tests/training/studies",
    "tests/training",
    "tests/test_docs.py",
    "tests/features/test_kernel_loader.py",
    "tests/service",
)
"""Where tests take long, the longest first."""

# Set before the first import of what reads them: parallelism is processes, and the threads of
# several processes take the cores from each other.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def pytest_collection_modifyitems(config, items):
    """Give the long tests to the workers first, so that none of them is the last to run."""

    def rank(item):
        path = item.path.relative_to(ROOT).as_posix()
        return next((at for at, folder in enumerate(LONG) if path.startswith(folder)), len(LONG))

    if hasattr(config, "workerinput"):
        items.sort(key=rank)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, scores and pictures; its place can be named by TIMBRE_DATA."""
    path = Path(os.environ.get("TIMBRE_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no recordings at {path}: set TIMBRE_DATA")
    return path
