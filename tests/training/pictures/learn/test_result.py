import numpy as np
import pytest

from training.pictures.learn.metrics import Evaluation
from training.pictures.learn.result import (
    candidate_row,
    first_test_sets,
    golden_rows,
    means_of,
)


def evaluated(name, test_set, right, labels):
    """Scores of two classes that are right where `right` says so."""
    labels = np.array(labels)
    said = np.where(right, labels, 1 - labels)
    return Evaluation(
        name, test_set, np.eye(2, dtype=np.float32)[said], labels, np.arange(len(labels))
    )


def test_the_first_question_of_each_name_counts():
    those = [evaluated(name, test_set, [True], [0]) for name in "ab" for test_set in ("new", "met")]
    assert [(one.name, one.test_set) for one in first_test_sets(those)] == [
        ("a", "new"),
        ("b", "new"),
    ]


def test_a_candidates_row_holds_means_and_blanks_for_what_is_not_known():
    tests = [
        evaluated("a", "new", [True, True, True, False], [0, 0, 1, 1]),
        evaluated("b", "new", [True, True], [0, 1]),
    ]
    row = candidate_row(tests, top=(1,), seconds=3.0)
    assert row["test_accuracy"] == pytest.approx((0.75 + 1) / 2)
    assert row["majority"] == pytest.approx(0.5)
    assert row["seconds"] == 3.0
    assert row["best_epoch"] is None


def test_a_source_of_one_class_is_not_in_the_means_that_it_cannot_spoil():
    one = evaluated("a", "new", [True, True, False], [0, 0, 0])
    other = evaluated("b", "new", [True, False], [1, 1])
    both = evaluated("c", "new", [True, True, True, False], [0, 0, 1, 1])
    mixed, alone = means_of([one, both], top=(1,)), means_of([both], top=(1,))
    assert (mixed["majority"], mixed["macro_f1"]) == (0.5, alone["macro_f1"])
    assert mixed["top1"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    # Where each has one class, they are measured together: 2 of 3 and 1 of 2 are right.
    found = means_of([one, other], top=(1,))
    assert found["majority"] == pytest.approx(3 / 5)
    assert found["macro_f1"] == pytest.approx((2 * 2 / 6 + 2 * 1 / 4) / 2)


def test_golden_rows_are_a_few_of_those_given_in_order():
    rows = golden_rows(np.arange(100, 200), seed=1)
    assert len(rows) == 16
    assert set(rows.tolist()) <= set(range(100, 200))
    assert (np.diff(rows) > 0).all()
    assert golden_rows(np.arange(3), seed=1).tolist() == [0, 1, 2]
