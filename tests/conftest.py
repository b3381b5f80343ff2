"""What tests of more than one folder share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, scores and pictures; its place can be named by TIMBRE_DATA."""
    path = Path(os.environ.get("TIMBRE_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no recordings at {path}: set TIMBRE_DATA")
    return path
