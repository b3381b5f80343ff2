"""Figures of single-class scores: each against a case that can be counted by hand."""

import numpy as np
import pytest

from training.evaluation.metrics import LARGEST_MATRIX
from training.pictures.learn import metrics

NAMES = ("boat", "cup", "tree")
SCORES = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3]], np.float32)
LABELS = np.array([0, 1, 2, 2])


def test_figures_are_those_counted_by_hand():
    found = metrics.measure(SCORES, LABELS, top=(1, 2, 3))
    assert (found["pictures"], found["top1"], found["top2"], found["majority"]) == (
        4,
        0.5,
        1.0,
        0.5,
    )
    # boat: 1 right of 2 said and 1 there; cup: none; tree: 1 right of 1 said and 2 there.
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    # The best guesses were right half the time, at mean scores of 0.7, 0.5, 0.6, 0.5.
    assert 0 < found["calibration_error"] < 1
    assert "top3" not in found  # of three classes it is always 1


def test_of_no_pictures_nothing_is_known():
    found = metrics.measure(np.zeros((0, 3), np.float32), np.zeros(0, int))
    assert (found["pictures"], found["top1"], found["macro_f1"]) == (0, None, None)


def test_ties_go_to_the_class_that_comes_first():
    scores = np.full((3, 3), 1 / 3, np.float32)
    assert metrics.rank(scores, np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_classes_come_hardest_first_and_absent_ones_not_at_all():
    found = metrics.by_class(SCORES[:3], np.array([0, 1, 1]), NAMES, top=2)
    assert [one["label"] for one in found] == ["cup", "boat"]
    assert found[0]["support"] == 2
    assert metrics.f1_by_class(SCORES[:2], LABELS[:2])[2] is None


def test_pairs_taken_for_each_other_are_counted():
    assert metrics.confused(SCORES, LABELS, NAMES) == [("cup", "boat", 1), ("tree", "cup", 1)]
    assert metrics.matrix(SCORES, LABELS) == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]


def test_mistakes_are_the_surest_and_each_pair_once():
    one = metrics.Evaluation(
        "here", "test", np.repeat(SCORES, 2, axis=0), np.repeat(LABELS, 2), np.arange(10, 18)
    )
    found = metrics.mistakes([one], NAMES)
    assert [(item["is"], item["said"], item["row"]) for item in found] == [
        ("cup", "boat", 12),
        ("tree", "cup", 16),
    ]
    assert found[0]["score"] == pytest.approx(0.5)


def test_ten_thousand_classes_are_judged_without_a_matrix():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10_000, 200)
    scores = rng.random((200, 10_000), np.float32)
    scores[np.arange(100), labels[:100]] = 2
    names = [f"class {number}" for number in range(10_000)]
    assert metrics.measure(scores, labels)["top1"] == 0.5
    assert metrics.matrix(scores, labels) is None
    assert len(metrics.by_class(scores, labels, names, top=5)) == len(np.unique(labels))
    pairs = metrics.pairs(scores, labels)
    assert len(pairs) <= 200
    assert sum(count for _, _, count in pairs) == 200


def test_pairs_are_the_cells_of_the_matrix_that_hold_something():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, LARGEST_MATRIX, 300), rng.random((300, LARGEST_MATRIX))
    matrix = np.zeros((LARGEST_MATRIX, LARGEST_MATRIX), int)
    for true, predicted, count in metrics.pairs(scores, labels):
        assert count > 0
        matrix[true, predicted] = count
    assert matrix.tolist() == metrics.matrix(scores, labels)


def test_the_loss_is_the_mean_cross_entropy_and_each_class_has_its_own():
    scores = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]], np.float32)
    labels = np.array([0, 0, 1])
    first, second, third = np.log(2), np.log(4), -np.log(metrics.LOWEST)
    assert metrics.measure(scores, labels)["loss"] == pytest.approx((first + second + third) / 3)
    losses = {one["label"]: one["loss"] for one in metrics.by_class(scores, labels, "ab", top=1)}
    assert losses == {"a": pytest.approx((first + second) / 2), "b": pytest.approx(third)}


def test_a_mistake_has_the_rank_of_the_right_class():
    scores = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], np.float32)
    one = metrics.Evaluation("all", "test", scores, np.array([1, 2]), np.array([0, 1]))
    assert [item["rank"] for item in metrics.mistakes([one], "abc")] == [2, 3]
