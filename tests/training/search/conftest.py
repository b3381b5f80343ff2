"""A feature table small enough for tests, written by what `timbre data` writes tables with."""

import numpy as np
import pytest

from training.recordings.table import write_table

SOURCES = ["cello-a", "cello-b", "flute-a", "noise", "of-the-test"]


@pytest.fixture
def table(tmp_path):
    """160 rows: each eighth of the test part; each fourth a copy."""
    rng, i = np.random.default_rng(0), np.arange(160)
    rows = rng.normal(size=(160, 26)).astype(np.float32)
    tests = i % 8 == 7
    columns = {
        "labels": rows[:, :3] + 0.3 * rng.normal(size=(160, 3)) > 0,
        "groups": np.where(tests, 4, i // 2 % 4),
        "clips": i,
        "starts": np.zeros(160),
        "parts": np.where(tests, 2, 0),
        "copies": i % 4 == 1,
    }
    about = {"labels": ["a", "b", "c"], "sources": SOURCES}
    write_table(
        tmp_path / "table", about=about, columns=columns, tensors={"features": (rows.shape, [rows])}
    )
    return tmp_path / "table"
