"""The metrics, each against a count by hand or scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from training.evaluation.metrics import (
    average_precision,
    confusion,
    f1_by_label,
    measure,
    reliability,
    top1,
)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    labels = rng.random((200, 4)) < 0.3
    labels[:, 3] = False
    scores = np.round(np.clip(labels * 0.3 + rng.random((200, 4)) * 0.7, 0, 1), 2).astype(
        np.float32
    )
    kind = np.array(["mix"] * 150 + ["noise"] * 50)
    labels[150:] = False
    return scores, labels, kind


def figures(case, thresholds=0.5):
    scores, labels, kind = case
    return measure(
        scores, labels, kind, thresholds=np.full(4, thresholds), names=["a", "b", "c", "d"]
    )


def test_f1_and_accuracy_are_those_of_scikit_learn(case):
    found, said, truth = figures(case), case[0][:150] >= 0.5, case[1][:150]
    assert found["accuracy"] == pytest.approx(1 - oracle.hamming_loss(truth, said))
    assert found["micro_f1"] == pytest.approx(oracle.f1_score(truth, said, average="micro"))
    assert found["macro_f1"] == pytest.approx(
        oracle.f1_score(truth[:, :3], said[:, :3], average="macro")
    )


def test_mixtures_are_the_windows_of_two_to_four_labels():
    labels = np.tri(6, 5, -1, dtype=bool)
    scores = np.where(labels, 0.9, 0.1).astype(np.float32)
    scores[[0, 1, 5]] = 1 - scores[[0, 1, 5]]
    found = measure(
        scores, labels, np.full(6, "mix"), thresholds=np.full(5, 0.5), names=list("abcde")
    )
    assert (found["macro_f1_mixture"], found["mixture_windows"]) == (1.0, 3), (
        "none, one and five labels do not count"
    )
    scores[2] = 0
    assert measure(
        scores, labels, np.full(6, "mix"), thresholds=np.full(5, 0.5), names=list("abcde")
    )["macro_f1_mixture"] == pytest.approx((0.8 + 0.8 + 1 + 1) / 4), (
        "the label that only the fifth has is left out"
    )


def test_average_precision_counts_ties_as_scikit_learn_does(case):
    scores, labels, _ = case
    expected = oracle.average_precision_score(labels[:, 0], scores[:, 0])
    assert average_precision(scores[:, 0], labels[:, 0]) == pytest.approx(expected)


def test_labels_that_never_occur_are_left_out_and_named(case):
    found = figures(case)
    assert found["labels_left_out"] == ["d"]
    assert found["f1"]["d"] is None
    assert found["support"]["d"] == 0


def test_a_model_that_says_nothing_reaches_the_all_negative_baseline(case):
    found = figures(case, thresholds=2.0)
    assert found["accuracy"] == found["accuracy_all_negative"] > 0.5
    assert found["micro_f1"] == 0.0
    assert found["quiet_without_label"] == 1.0


def test_noise_counts_only_in_its_own_figure(case):
    found = figures(case)
    scores, labels, kind = case
    assert found["windows"] == 150
    assert found["quiet_windows"] == 50
    assert found["quiet_without_label"] == np.mean(~(scores[150:] >= 0.5).any(axis=1))
    scores[150:] = 1.0
    assert figures((scores, labels, kind))["micro_f1"] == found["micro_f1"]


def test_a_label_on_background_is_a_false_positive_and_on_generated_noise_is_not():
    labels = np.array([[1, 0], [0, 1], [0, 0], [0, 0]], bool)
    scores, limits = np.full((4, 2), 0.9, np.float32), np.full(2, 0.5)
    own, made = (
        measure(scores, labels, np.array(["solo"] * 2 + [kind] * 2), thresholds=limits, names="ab")
        for kind in ("background", "noise")
    )
    assert (own["windows"], own["quiet_windows"], own["quiet_without_label"]) == (4, 2, 0.0)
    assert (made["windows"], made["quiet_windows"], made["quiet_without_label"]) == (2, 2, 0.0)
    assert own["macro_f1"] == pytest.approx(2 / 5)
    assert own["accuracy"] == pytest.approx(2 / 8)
    assert made["macro_f1"] == pytest.approx(2 / 3)


def test_baselines_are_those_of_models_without_any_knowledge(case):
    scores, labels, kind = case
    found, truth = figures(case), labels[:150]
    on = np.ones_like(truth)
    assert found["macro_f1_all_on"] == pytest.approx(
        oracle.f1_score(truth[:, :3], on[:, :3], average="macro")
    )
    assert found["micro_f1_all_on"] == pytest.approx(oracle.f1_score(truth, on, average="micro"))
    several = truth[truth.sum(axis=1) >= 2]
    assert found["macro_f1_mixture_all_on"] == pytest.approx(
        oracle.f1_score(several[:, :3], np.ones_like(several[:, :3]), average="macro")
    )
    assert found["mean_average_precision_constant"] == pytest.approx(truth[:, :3].mean())
    # A model that does what they do has no more.
    same = figures((np.full_like(scores, 0.7), labels, kind))
    for name in ("micro_f1", "macro_f1", "macro_f1_mixture"):
        assert same[name] == same[f"{name}_all_on"]
    assert same["mean_average_precision"] == same["mean_average_precision_constant"]


def test_average_precision_needs_a_window_without_the_label():
    scores = np.linspace(0, 1, 3)
    assert average_precision(scores, np.ones(3, bool)) is None
    assert average_precision(scores, np.array([0, 1, 1], bool)) == 1.0
    assert average_precision(scores, np.zeros(3, bool)) is None


def test_top1_stands_beside_the_majority_class():
    labels = np.eye(3, dtype=bool)[[0, 0, 0, 1]]
    scores = np.array([[0.9, 0, 0], [0.2, 0.1, 0], [0, 0.1, 0], [0.3, 0.2, 0]], np.float32)
    found = top1(scores, labels)
    assert found == {
        "top1": 0.5,
        "top1_macro": pytest.approx(1 / 3),
        "top1_majority": 0.75,
        "top1_windows": 4,
    }


def test_top1_looks_at_notes_and_phrases_only():
    labels = np.eye(2, dtype=bool)[[0, 1, 0]]
    scores = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    found = measure(
        scores,
        labels,
        np.array(["note", "solo", "mix"]),
        thresholds=np.full(2, 0.5),
        names=["a", "b"],
    )
    assert (found["top1"], found["top1_note"], found["top1_solo"], found["top1_windows"]) == (
        1.0,
        1.0,
        1.0,
        2,
    )


def test_nothing_to_judge_gives_no_figure_instead_of_a_wrong_one():
    empty = np.zeros((0, 2))
    found = measure(
        empty.astype(np.float32),
        empty.astype(bool),
        np.array([], str),
        thresholds=np.ones(2),
        names="ab",
    )
    assert (
        found["accuracy"]
        is found["macro_f1"]
        is found["top1"]
        is found["quiet_without_label"]
        is None
    )


def test_confusion_counts_windows_of_one_label():
    labels = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], bool)
    scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.2], [1, 1]], np.float32)
    assert confusion(scores, labels).tolist() == [[1, 1], [0, 1]]


def test_f1_of_a_label_that_is_never_said_is_zero():
    assert f1_by_label(np.zeros((2, 1), bool), np.ones((2, 1), bool)) == [0.0]


def test_reliability_counts_every_cell_once_and_is_0_for_honest_scores():
    scores = np.array([[0.0, 1.0], [0.25, 0.25], [0.25, 0.25]], np.float32)
    truth = np.array([[0, 1], [1, 0], [0, 0]], bool)
    found = reliability(scores, truth)
    assert sum(one["count"] for one in found["bins"]) == 6
    assert found["bins"][-1]["count"] == 1, "1.0 belongs to the last tenth"
    assert found["expected_calibration_error"] == pytest.approx(0, abs=1e-7)
    assert reliability(scores, ~truth)["expected_calibration_error"] > 0.4
