"""Leave one source out: nothing of a source reaches the model or the thresholds that judge it."""

from pathlib import Path

import numpy as np
import pytest

from training.evaluation import leave_one_out
from training.notes.window_set import WindowSet

SOURCES = ["a", "b", "a+b", "c", "noise-x", "noise-y"]


@pytest.fixture
def windows():
    source = np.array(SOURCES * 10)
    kind = np.where(np.char.startswith(source, "noise"), "noise", "note")
    labels = np.zeros((60, 2), bool)
    labels[kind == "note", 0] = True
    return WindowSet(np.zeros((60, 1), np.float16), labels, source, kind, Path(), "")


def test_no_window_that_contains_the_held_out_source_trains(windows):
    splits = leave_one_out.splits(windows)
    assert list(splits) == ["a", "b", "c"]
    for source, rows in splits.items():
        trained = set(windows.source[rows].tolist())
        assert source not in {part for name in trained for part in name.split("+")}
        assert {"noise-x", "noise-y"} < trained


def test_excluded_sources_neither_train_nor_are_left_out_in_turn(windows):
    splits = leave_one_out.splits(windows, excluded=("c",))
    assert list(splits) == ["a", "b"]
    assert not any("c" in windows.source[rows] for rows in splits.values())


def test_where_one_source_is_left_nothing_can_be_left_out(windows):
    assert leave_one_out.splits(windows, excluded=("b", "c")) == {}


def test_a_model_is_asked_about_its_source_and_all_noises(windows):
    class Asked:
        history = ()

        def scores(self, tensors):
            self.rows = tensors[:, 0].astype(int)
            return np.tile(np.float32([0.9, 0.1]), (len(tensors), 1))

    model = Asked()
    evaluated = leave_one_out.leave_one_out(
        {"a": model}, windows, np.arange(len(windows), dtype=np.float32)[:, None]
    )
    assert set(windows.source[model.rows].tolist()) == {"a", "noise-x", "noise-y"}
    assert evaluated[0].source == "a"
    np.testing.assert_array_equal(evaluated[0].labels, windows.labels[model.rows])


def scores_of(source, score, *, sounding=True):
    scores = np.full((10, 1), score, np.float32)
    return leave_one_out.SourceScores(
        source, scores, np.full((10, 1), sounding), np.array(["note" if sounding else "noise"] * 10)
    )


def test_thresholds_of_a_source_come_from_the_others():
    metrics = leave_one_out.measure_each(
        [scores_of("high", 0.9), scores_of("low", 0.3)], ["x"], quiet=0.99
    )
    assert metrics["low"]["f1"]["x"] == 0.0 or metrics["high"]["f1"]["x"] == 1.0
    strict = leave_one_out.measure_each(
        [scores_of("low", 0.3), scores_of("high", 0.9), scores_of("loud", 0.6, sounding=False)],
        ["x"],
        quiet=0.99,
    )
    assert strict["low"]["f1"]["x"] == 0.0, "the noise of another source forbids a low threshold"
    assert strict["loud"]["quiet_without_label"] == 0.0, (
        "its own noise did not help its own threshold"
    )


def test_no_threshold_is_lower_than_the_least():
    both = [scores_of("a", 0.4), scores_of("b", 0.4)]
    free = leave_one_out.thresholds(both, quiet=0.99)
    raised = leave_one_out.thresholds(both, quiet=0.99, least=[0.9] + [0.0] * (len(free) - 1))
    assert free[0] < raised[0] == np.float32(0.9)
    assert raised[1:].tolist() == free[1:].tolist()
    missed = leave_one_out.measure_each(
        both, ["x"] * len(free), quiet=0.99, least=[0.9] * len(free)
    )
    assert missed["a"]["micro_f1"] == 0.0


def test_a_source_of_one_label_is_not_in_the_means_that_it_cannot_spoil():
    figures = {"macro_f1": 1.0, "top1_majority": 1.0, "top1": 0.0}
    one = figures | {"support": {"x": 9, "y": 0}}
    two = {"macro_f1": 0.5, "top1_majority": 0.6, "top1": 1.0, "support": {"x": 3, "y": 2}}
    found = leave_one_out.mean({"a": one, "b": two})
    assert found == {"macro_f1": 0.5, "top1_majority": 0.6, "top1": 0.5}
    assert leave_one_out.mean({"a": one}) == {"top1": 0.0}


@pytest.mark.parametrize("count", [1, 399, 400, 401, 1000])
def test_held_out_rows_are_spread_over_all_of_them(count):
    rows = leave_one_out.spread(np.arange(count))
    assert min(count, 200) <= len(rows) <= 400
    assert rows[-1] >= 0.99 * (count - 1)


def test_the_mean_skips_what_a_source_does_not_have():
    metrics = {
        "a": {"top1": 0.5, "f1": {}, "quiet": 1.0},
        "b": {"top1": None, "f1": {}, "quiet": 0.0},
    }
    assert leave_one_out.mean(metrics) == {"top1": 0.5, "quiet": 0.5}
    first = {"noise": {"top1": None, "f1": {}, "quiet": 0.5}, **metrics}
    assert leave_one_out.mean(first) == {"quiet": 0.5, "top1": 0.5}
