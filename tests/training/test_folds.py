"""Leave one source out: nothing of a source reaches the model or the thresholds that judge it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from training import folds
from training.windows import WindowSet

SOURCES = ["a", "b", "a+b", "c", "noise-x", "noise-y"]


@pytest.fixture
def windows():
    source = np.array(SOURCES * 10)
    kind = np.where(np.char.startswith(source, "noise"), "noise", "note")
    labels = np.zeros((60, 2), bool)
    labels[kind == "note", 0] = True
    return WindowSet(np.zeros((60, 1), np.float16), labels, source, kind, Path(), "")


@dataclass
class Remembering:
    """A model that knows only what it was trained on."""

    rows: np.ndarray
    seen: list = field(default_factory=list)

    def scores(self, tensors):
        self.seen.append(tensors[:, 0])
        return np.tile(np.float32([0.9, 0.1]), (len(tensors), 1))

    def onnx(self):
        return b""


def leave_out(windows, **more):
    models = {}

    def fit(name, rows):
        return models.setdefault(name, Remembering(rows))

    tensors = np.arange(len(windows), dtype=np.float32)[:, None]
    return folds.leave_one_out(windows, windows, tensors, fit, **more), models


def test_no_window_that_contains_the_held_out_source_trains(windows):
    judged, models = leave_out(windows)
    assert [one.source for one in judged] == ["a", "b", "c"]
    for one, model in zip(judged, models.values(), strict=True):
        trained = set("+".join(windows.source[model.rows].tolist()).split("+"))
        assert one.source not in trained
        tested = set(windows.source[model.seen[0].astype(int)].tolist())
        assert tested == {one.source, "noise-x", "noise-y"}


def test_excluded_sources_neither_train_nor_are_left_out_in_turn(windows):
    judged, models = leave_out(windows, excluded=("c",))
    assert [one.source for one in judged] == ["a", "b"]
    for model in models.values():
        assert "c" not in windows.source[model.rows]


def judged(source, score, *, sounding=True):
    scores = np.full((10, 1), score, np.float32)
    return folds.Judged(source, scores, np.full((10, 1), sounding), np.array(["note" if sounding else "noise"] * 10))


def test_thresholds_of_a_source_come_from_the_others():
    metrics = folds.measure_each([judged("high", 0.9), judged("low", 0.3)], ["x"], quiet=0.99)
    assert metrics["low"]["f1"]["x"] == 0.0 or metrics["high"]["f1"]["x"] == 1.0
    strict = folds.measure_each(
        [judged("low", 0.3), judged("high", 0.9), judged("loud", 0.6, sounding=False)], ["x"], quiet=0.99
    )
    assert strict["low"]["f1"]["x"] == 0.0, "the noise of another source forbids a low threshold"
    assert strict["loud"]["quiet_without_label"] == 0.0, "its own noise did not help its own threshold"


def test_the_mean_skips_what_a_source_does_not_have():
    metrics = {"a": {"top1": 0.5, "f1": {}, "quiet": 1.0}, "b": {"top1": None, "f1": {}, "quiet": 0.0}}
    assert folds.mean(metrics) == {"top1": 0.5, "quiet": 0.5}
