"""A feature table small enough for tests, in the files that `timbre data` writes."""

import json

import numpy as np
import pytest

SOURCES = ["cello-a", "cello-b", "flute-a", "noise"]


@pytest.fixture
def table(tmp_path):
    """160 rows: each eighth of the test part; each fourth of the others a copy."""
    folder = tmp_path / "table"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(160, 26))
    np.save(folder / "features.npy", rows.astype(np.float32))
    np.save(folder / "labels.npy", rows[:, :3] + 0.3 * rng.normal(size=(160, 3)) > 0)
    np.save(folder / "groups.npy", (np.arange(160) // 2 % 4).astype(np.int32))
    np.save(folder / "parts.npy", np.where(np.arange(160) % 8 == 7, 2, 0).astype(np.uint8))
    np.save(folder / "copies.npy", (np.arange(160) % 4 == 1).astype(np.uint8))
    about = {"labels": ["a", "b", "c"], "sources": SOURCES, "kinds": ["features"]}
    (folder / "table.json").write_text(json.dumps(about))
    return folder
