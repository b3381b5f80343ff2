"""Tensors of window sets: those that serving would compute, once."""

from pathlib import Path

import numpy as np
import pytest

from features.extract import extract, log_mel
from training.notes.tensors import tensors
from training.notes.window_set import WindowSet


@pytest.fixture
def windows(tmp_path):
    rng = np.random.default_rng(0)
    samples = (rng.normal(size=(300, 44_100)) * np.geomspace(0.01, 0.2, 300)[:, None]).astype(
        np.float16
    )
    names = np.array(["a"] * 300)
    return WindowSet(samples, np.zeros((300, 11), bool), names, names, tmp_path, "")


def test_features_are_those_of_the_service(windows):
    table = tensors(windows, kind="features", jobs=2)
    assert table.shape == (300, 26)
    for row in (0, 255, 256, 299):
        np.testing.assert_array_equal(table[row], extract(windows.read(row)))


def test_log_mel_is_kept_within_a_sixteenth_of_a_decibel(windows):
    windows = WindowSet(
        windows.samples[:3],
        windows.labels[:3],
        windows.source[:3],
        windows.kind[:3],
        windows.folder,
        "",
    )
    table = tensors(windows, kind="log_mel")
    assert table.shape == (3, 128, 87)
    np.testing.assert_allclose(table[1], log_mel(windows.read(1)), atol=0.0625)


def test_the_second_call_reads_what_the_first_wrote(windows):
    counted = []
    for _ in range(2):
        tensors(windows, kind="features", progress=lambda *call: counted.append(call))
    assert counted == [(256, 300), (300, 300)]
    assert [path.suffix for path in Path(windows.folder).iterdir()] == [".npy"]
