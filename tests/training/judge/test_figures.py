from pathlib import Path

import numpy as np
import pytest

from models.store import DEFAULT_PATH
from training.judge.classes import Matched
from training.judge.figures import choice, judgement, loss_of_each
from training.judge.judged_model import open_model
from training.judge.network_file import FileOptions
from training.judge.scoring import Scored

SCORES = np.float32([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]])
LABELS = np.array([0, 1, 2, 2])


def scored(scores, labels, rows):
    files = [f"{label}/{number}" for number, label in enumerate(labels.tolist())]
    return Scored(Matched({}, [], {}), files, labels, rows, scores, [])


def test_pictures_are_measured_once_each(seeing):
    model = open_model("colours", version=None, artefacts=seeing, options=FileOptions())
    found = judgement(model, scored(SCORES, LABELS, np.arange(4)), Path("f"), more_than=1)
    test = found["tests"]["pictures"]
    assert (test["pictures"], test["top1"], test["majority"]) == (4, 0.5, 0.5)
    right = SCORES[np.arange(4), LABELS]
    assert test["loss"] == pytest.approx(-np.log(right).mean())
    by_class = {one["label"]: one for one in found["labels"]}
    assert by_class["blue"]["loss"] == pytest.approx(-np.log([0.7, 0.3]).mean())
    assert by_class["green"]["top1"] == 0
    assert found["confusion_pairs"] == [[0, 0, 1], [1, 0, 1], [2, 1, 1], [2, 2, 1]]
    assert [one["label"] for one in found["choice"]] == ["blue"]
    assert {one["path"] for one in found["mistakes"]} == {"1/1", "2/3"}


def test_sounds_are_measured_by_window_and_by_whole_clip():
    """Two clips of three and one windows; the clip's score is the mean of its windows'."""
    model = open_model(
        "instruments-forest", version=None, artefacts=DEFAULT_PATH, options=FileOptions()
    )
    scores = np.full((4, len(model.labels)), 0.1, np.float32)
    scores[[0, 1], 1], scores[2, 0], scores[3, 1] = 0.4, 0.95, 0.8
    found = judgement(
        model, scored(scores, np.array([0, 1]), np.array([0, 0, 0, 1])), Path("f"), more_than=0
    )
    assert list(found["tests"]) == ["windows", "clips"]
    windows, clips = found["tests"].values()
    assert (windows["pictures"], windows["top1"]) == (4, 0.5)
    assert (clips["pictures"], clips["top1"]) == (2, 1.0)
    assert 0 <= clips["at_thresholds"]["macro_f1"] <= 1
    assert clips["at_thresholds"]["macro_f1_all_on"] == pytest.approx(2 / 3)
    assert clips["at_thresholds"]["mean_average_precision_constant"] == 0.5


def test_the_loss_of_several_labels_counts_each():
    scores = np.float32([[0.8, 0.5]])
    expected = -(np.log(0.8) + np.log(0.5)) / 2
    assert loss_of_each(scores, np.array([0]), several=True)[0] == pytest.approx(expected, abs=1e-6)
    assert loss_of_each(scores, np.array([0]), several=False)[0] == pytest.approx(
        -np.log(0.8), abs=1e-6
    )


@pytest.mark.parametrize("several", [True, False])
def test_a_right_class_without_a_score_has_a_finite_loss(several):
    assert np.isfinite(loss_of_each(np.float32([[0, 1]]), np.array([0]), several=several)).all()


def test_classes_are_chosen_by_top_1_then_top_k_then_loss_and_size_bounds_them():
    def one(label, top1, topk, loss, support=26):
        return {"label": label, "top1": top1, "topk": topk, "loss": loss, "support": support}

    classes = [
        one("late", 0.9, 0.9, 0.5),
        one("two words", 0.9, 1.0, 0.2),
        one("best", 0.9, 1.0, 0.1),
        one("oneword", 0.9, 1.0, 0.2),
        one("few", 1.0, 1.0, 0.0, support=25),
    ]
    found = choice(classes, more_than=25)
    assert [each["label"] for each in found] == ["best", "oneword", "two words", "late"]
    assert choice(classes, more_than=24)[0]["label"] == "few"
