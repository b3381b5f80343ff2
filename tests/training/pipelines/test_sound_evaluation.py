"""Thresholds and figures of the recipe `sounds`, on tables small enough to count."""

from types import SimpleNamespace

import numpy as np
import pytest

from training.common.recipe import load
from training.evaluation import leave_one_out
from training.pipelines import sound_evaluation, sound_model, sounds
from training.pipelines.sound_evaluation import best_of, calibrate, evaluate, metrics_of
from training.pipelines.sound_model import Candidate
from training.recordings.table import write_table

NAMES = ("a", "b", "c")


class Column:
    """A model whose scores are the first features of a window."""

    history = ()

    def scores(self, tensors):
        return np.float32(tensors[:, : len(NAMES)])


@pytest.fixture
def table_of(tmp_path):
    def make(labels, scores, groups, part=2):
        count, labels = len(labels), np.array(labels, bool)
        features = np.zeros((count, 26), np.float32)
        features[:, : len(NAMES)] = scores
        sources = sorted({f"s{group}" for group in groups})
        about = {"labels": NAMES, "sources": sources, "rule": "-", "window_s": 1.0, "rate": 22_050}
        columns = {
            "labels": labels, "groups": np.array(groups), "clips": np.array(groups),
            "starts": np.zeros(count), "parts": np.full(count, part), "copies": np.zeros(count),
        }  # fmt: skip
        tensors = {"features": ((count, 26), [features])}
        return write_table(tmp_path / "table", about=about, columns=columns, tensors=tensors)

    return make


def measured(table, limits=(0.5, 0.5, 0.5)):
    evaluated = evaluate(Column(), "features", table, table.rows("test"), together=True)
    return metrics_of(Column(), "features", table, evaluated, np.float32(limits))


@pytest.mark.parametrize("files", [4, 40])
def test_files_of_one_label_each_are_measured_together(table_of, files, monkeypatch):
    monkeypatch.setattr(sound_evaluation, "ONE_BY_ONE", 20)
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3 * files), 10)
    labels = np.eye(3)[groups % 3]
    # Every label is heard everywhere, whatever sounds.
    found = measured(table_of(labels, rng.uniform(0.6, 1, (len(groups), 3)), groups))
    mean = found["mean"]
    assert mean["mean_average_precision"] == pytest.approx(1 / 3, abs=0.15)
    assert mean["mean_average_precision_constant"] == pytest.approx(1 / 3)
    assert mean["macro_f1"] == mean["macro_f1_all_on"] == pytest.approx(0.5)
    assert mean["top1_majority"] == pytest.approx(1 / 3)
    assert mean["windows"] == len(groups)
    assert len(found["left_out"]) == (3 * files if files < 5 else 1)
    if files < 5:
        assert all(m["mean_average_precision"] is None for m in found["left_out"].values())


def test_labels_on_windows_without_any_are_false_and_generated_noise_is_apart(table_of):
    labels = [[1, 0, 0], [0, 1, 0], [0, 0, 1], *[[0, 0, 0]] * 15]
    scores = [*labels[:3], *[[1, 0, 0]] * 5, *[[0, 1, 0]] * 8, *[[0, 0, 0]] * 2]
    found = measured(table_of(labels, scores, [0] * 8 + [1] * 10))
    rows, mean = found["left_out"], found["mean"]
    assert [rows[name]["quiet_without_label"] for name in ("s0", "s1")] == [0.0, 0.2]
    assert mean["quiet_without_label"] == pytest.approx(2 / 15)
    assert mean["macro_f1"] == pytest.approx((2 / 7 + 2 / 10 + 1) / 3)
    assert mean["accuracy"] == pytest.approx(1 - 13 / 54)
    assert 0 <= mean["noise_without_label"] <= 1
    assert rows["s1"]["macro_f1"] is rows["s1"]["micro_f1"] is None


def test_thresholds_count_labels_on_background_as_false(table_of):
    table = table_of([[1, 1, 1]] * 5 + [[0, 0, 0]] * 20, [[0.7]] * 5 + [[0.4]] * 20, [0] * 25, 1)
    recipe = SimpleNamespace(others=SimpleNamespace(share=0.0), quiet=0.0)
    before, limits, valid = calibrate(recipe, Column(), "forest", table, None)
    assert (limits > 0.4).all()
    assert before.tolist() == limits.tolist()
    assert valid["macro_f1"] == 1.0
    assert valid["quiet_windows"] == 20


def test_the_curve_of_a_training_is_of_windows_of_every_label(table_of, monkeypatch):
    monkeypatch.setattr(leave_one_out, "MOST_HELD_OUT", 6)
    # By path, as in LABEL/file: all windows of one label come first.
    label = np.repeat(np.arange(3), 20)
    table = table_of(np.eye(3)[label], np.zeros((60, 3)), label, part=1)
    given = {}
    monkeypatch.setattr(sound_model, "fit", lambda *_, **named: given.update(named) or Column())
    sounds.fit(load("sounds", ["collection.path=none"]), "forest", table, None)
    _, labels = given["held_out"]
    assert len(labels) == 6
    assert labels.sum(axis=0).tolist() == [2, 2, 2]


def candidate(model, macro_f1):
    valid = {} if macro_f1 == "" else {"macro_f1": macro_f1}
    return Candidate(model, Column(), [], np.float32([]), {"valid": valid}, {}, "features")


@pytest.mark.parametrize(
    ("given", "best", "told"),
    [
        ([("forest", 0.4), ("backbone", 0.6), ("dense", 0.5)], "backbone", ""),
        ([("forest", 0.0), ("backbone", None)], "forest", ""),
        ([("forest", ""), ("dense", "")], "forest", "forest, the first of the models; dense not"),
        ([("forest", None), ("backbone", None)], "backbone", "one on embeddings"),
        ([("forest", "")], "forest", ""),
    ],
)
def test_the_best_on_validation_or_what_is_named_is_written_and_said(given, best, told, capsys):
    chosen, why = best_of([candidate(*one) for one in given])
    said = capsys.readouterr().err
    assert chosen.model == best
    assert told in why
    assert told in said
    assert bool(why) == bool(told) == bool(said)
