"""Scores of a search mean what scikit-learn means by their names."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.ensemble import RandomForestClassifier

from training.search.scoring import NAMED, encode, probabilities, scorer
from training.search.splits import SearchError

RNG = np.random.default_rng(0)
LABELS, LABEL_SCORES = RNG.random((200, 5)) < 0.3, RNG.random((200, 5))
CLASSES = RNG.integers(0, 4, 200)
CLASS_SCORES = RNG.dirichlet(np.ones(4), 200)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("accuracy", metrics.accuracy_score),
        ("f1_macro", lambda truth, said: metrics.f1_score(truth, said, average="macro")),
        ("f1_micro", lambda truth, said: metrics.f1_score(truth, said, average="micro")),
    ],
)
def test_a_name_means_what_it_means_to_scikit_learn(name, theirs):
    assert NAMED[name](LABELS, LABEL_SCORES) == pytest.approx(theirs(LABELS, LABEL_SCORES > 0.5))
    assert NAMED[name](CLASSES, CLASS_SCORES) == pytest.approx(
        theirs(CLASSES, CLASS_SCORES.argmax(axis=1))
    )


def test_macro_f1_treats_what_is_neither_there_nor_said_as_scikit_learn_does():
    labels, said = np.array([[1, 0], [1, 0]], bool), np.array([[0.9, 0.1], [0.9, 0.1]])
    assert NAMED["f1_macro"](labels, said) == metrics.f1_score(
        labels, said > 0.5, average="macro", zero_division=0
    )
    classes, scores = np.array([0, 0, 1]), np.array([[0.8, 0.2, 0], [0.6, 0.4, 0], [0.6, 0.4, 0]])
    assert NAMED["f1_macro"](classes, scores) == metrics.f1_score(
        classes, scores.argmax(axis=1), average="macro"
    )


def test_elementwise_accuracy_counts_single_labels():
    assert (
        NAMED["elementwise_accuracy"](LABELS, LABEL_SCORES)
        == ((LABEL_SCORES > 0.5) == LABELS).mean()
    )
    assert NAMED["elementwise_accuracy"](CLASSES, CLASS_SCORES) == NAMED["accuracy"](
        CLASSES, CLASS_SCORES
    )


def test_log_loss_is_that_of_each_label_or_of_the_class():
    each = [metrics.log_loss(LABELS[:, i], LABEL_SCORES[:, i]) for i in range(5)]
    assert NAMED["neg_log_loss"](LABELS, LABEL_SCORES) == pytest.approx(-np.mean(each))
    assert NAMED["neg_log_loss"](CLASSES, CLASS_SCORES) == pytest.approx(
        -metrics.log_loss(CLASSES, CLASS_SCORES)
    )
    assert np.isfinite(NAMED["neg_log_loss"](np.array([0]), np.array([[0.0, 1.0]])))


def test_scoring_is_a_name_or_a_function():
    assert scorer(None) is NAMED["accuracy"]
    assert scorer(len) is len
    with pytest.raises(SearchError, match="'recall'; known: accuracy, elementwise"):
        scorer("recall")


def test_a_class_that_a_fold_never_met_has_probability_0():
    rows = RNG.random((30, 2))
    named = np.array(["a", "c"])[np.arange(30) % 2]
    found = probabilities(
        RandomForestClassifier(3).fit(rows, named), rows, np.array(["a", "b", "c"]), labels=False
    )
    assert found.shape == (30, 3)
    assert not found[:, 1].any()
    never = np.column_stack([np.arange(30) % 2, np.zeros(30)])
    found = probabilities(
        RandomForestClassifier(3).fit(rows, never), rows, np.array([0, 1]), labels=True
    )
    assert found.shape == (30, 2)
    assert not found[:, 1].any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a"], "only one class"),
        ([[1, 0], [1, 0]], "in all rows or in none"),
        ([[1, 2], [0, 1]], "labels 0 and 1"),
        (np.zeros((2, 2, 2)), "shape"),
    ],
)
def test_labels_that_tell_nothing_are_refused(labels, message):
    with pytest.raises(SearchError, match=message):
        encode(labels)
    encode([[1, 0], [1, 1]])
