"""A table of synthetic windows with an offset per source, so that leakage raises scores."""

import numpy as np
import pytest

from training.recordings.table import open_table, write_table

LABELS = ("high", "low", "middle")
SIDES = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 2}


def columns(rng, each):
    count = each * (len(SIDES) + 3)
    groups = np.repeat([0, 1, 2, 3, 4, 0, 1, 2], each).astype(np.int32)
    return {
        "labels": rng.random((count, 3)) < 0.4,
        "groups": groups,
        "clips": np.zeros(count, np.int32),
        "starts": np.zeros(count, np.float32),
        "parts": np.array(list(SIDES.values()), np.uint8)[groups],
        "copies": (np.arange(count) >= each * len(SIDES)).astype(np.uint8),
    }


@pytest.fixture(scope="session")
def table_folder(tmp_path_factory):
    rng, each = np.random.default_rng(0), 60
    made = columns(rng, each)
    # What tells a label differs from source to source: learnt by heart it helps with the same
    # source alone.
    own = rng.normal(size=(len(SIDES), 3, 26))[made["groups"]]
    common = rng.normal(size=(3, 26))
    rows = np.einsum("nl,nlf->nf", made["labels"], common + 2 * own) + 0.5 * rng.normal(
        size=(len(own), 26)
    )
    originals = rows[: 3 * each]
    rows[-3 * each :] = originals + 0.1 * rng.normal(size=originals.shape)
    made["labels"][-3 * each :] = made["labels"][: 3 * each]
    spectrograms = (
        rng.normal(-40, 3, (len(rows), 128, 87)) + 20 * made["labels"][:, [0]][:, :, None]
    )
    about = {
        "labels": LABELS,
        "sources": list(SIDES),
        "window_s": 2.0,
        "rate": 22050,
        "fingerprint": "",
        "collection": "musicnet",
    }
    path = tmp_path_factory.mktemp("tables") / "colours"
    tensors = {"features": (rows.shape, [rows]), "log_mel": (spectrograms.shape, [spectrograms])}
    write_table(path, about=about, columns=made, tensors=tensors)
    return path


@pytest.fixture(scope="session")
def table(table_folder):
    return open_table(table_folder)
