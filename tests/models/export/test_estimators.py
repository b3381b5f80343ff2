"""Classifiers of scikit-learn as graphs: equal to predict_proba, or rejected by name."""

import warnings

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from common.errors import ArtefactError
from models.export.estimators import TOLERANCE, classes_of, export, scores_of, task_of
from models.session import Session

BOOSTED = {"max_iter": 15}
OF_LABELS = {
    "random forest": RandomForestClassifier(10, random_state=0),
    "extra trees": ExtraTreesClassifier(10, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
    "neighbours": KNeighborsClassifier(),
    "one neighbour": KNeighborsClassifier(1),
    "by distance": KNeighborsClassifier(7, weights="distance"),
    "perceptron": MLPClassifier((20, 10), max_iter=100, random_state=0),
    "tanh": MLPClassifier((20,), activation="tanh", max_iter=30, random_state=0),
    "boosting": OneVsRestClassifier(HistGradientBoostingClassifier(**BOOSTED)),
    "lightgbm": OneVsRestClassifier(LGBMClassifier(n_estimators=15, verbosity=-1, n_jobs=1)),
    "regression": OneVsRestClassifier(LogisticRegression(max_iter=1000)),
    "by output": MultiOutputClassifier(LogisticRegression(max_iter=1000)),
    "svm": OneVsRestClassifier(LinearSVC()),
    "bayes": OneVsRestClassifier(GaussianNB()),
}
OF_CLASSES = {
    "random forest": RandomForestClassifier(10, random_state=0),
    "neighbours": KNeighborsClassifier(4),
    "perceptron": MLPClassifier((20,), activation="logistic", max_iter=30, random_state=0),
    "boosting": HistGradientBoostingClassifier(**BOOSTED),
    "lightgbm": LGBMClassifier(n_estimators=15, verbosity=-1, n_jobs=1),
    "regression": LogisticRegression(max_iter=1000),
    "bayes": GaussianNB(),
}


def fitted(estimator, rows, truth):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of training that ends early
        return estimator.fit(rows.astype(np.float64), truth)


def equals_scikit_learn(estimator, rows):
    """The graph's scores beside predict_proba, on rows that the export did not check."""
    graph = Session(export(estimator, rows[:40]))
    fresh = rows * np.float32(1.01)
    found = graph.predict(fresh)
    np.testing.assert_allclose(found, scores_of(estimator, fresh), atol=TOLERANCE)
    return found


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", OF_LABELS)
def test_labels_have_the_probabilities_of_scikit_learn(windows, name):
    rows, present = windows
    model = fitted(make_pipeline(StandardScaler(), PCA(16), OF_LABELS[name]), rows, present)
    found = equals_scikit_learn(model, rows)
    assert found.shape == present.shape
    assert np.mean((found >= 0.5) == present) > 0.8
    assert (task_of(model), classes_of(model)) == ("multi-label", ["0", "1", "2"])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("kinds", [2, 3])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_classes_have_the_probabilities_of_scikit_learn(windows, name, kinds):
    rows, present = windows
    truth = np.array(["piano", "violin", "flute"])[(present @ [1, 2, 0]) % kinds]
    model = fitted(make_pipeline(StandardScaler(), OF_CLASSES[name]), rows, truth)
    found = equals_scikit_learn(model, rows)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert found.shape == (400, kinds)
    assert task_of(model) == "multi-class"
    assert classes_of(model) == sorted(["piano", "violin", "flute"][:kinds])


@pytest.mark.parametrize(
    "steps",
    [
        [MinMaxScaler((0, 2), clip=True)],
        [MaxAbsScaler()],
        [RobustScaler(), PCA(5, whiten=True)],
        [StandardScaler(with_mean=False), PCA(3)],
        [],
    ],
)
def test_every_step_before_a_classifier_is_followed(windows, steps):
    rows, present = windows
    model = make_pipeline(*steps, LogisticRegression(max_iter=5000))
    equals_scikit_learn(fitted(model, rows, present[:, 0]), rows)


def test_pipelines_within_pipelines_and_steps_that_do_nothing_are_followed(windows):
    rows, present = windows
    inner = Pipeline([("scaler", StandardScaler()), ("none", "passthrough")])
    model = Pipeline([("before", inner), ("model", DecisionTreeClassifier(random_state=0))])
    equals_scikit_learn(fitted(model, rows, present), rows)


def test_one_label_that_is_true_or_false_has_one_score(windows):
    rows, present = windows
    model = fitted(make_pipeline(StandardScaler(), LogisticRegression()), rows, present[:, 0])
    assert equals_scikit_learn(model, rows).shape == (400, 1)
    assert task_of(model) == "multi-label"


@pytest.mark.filterwarnings("ignore:Label .* is present in all training examples")
@pytest.mark.filterwarnings("ignore:Label not .* is present in all training examples")
def test_a_label_that_is_always_or_never_on_has_a_constant_score(windows):
    rows, present = windows
    truth = np.stack([present[:, 0], np.ones(400, bool), np.zeros(400, bool)], axis=1)
    model = OneVsRestClassifier(LogisticRegression(max_iter=1000))
    model = make_pipeline(StandardScaler(), model).fit(rows.astype(np.float64), truth)
    found = equals_scikit_learn(model, rows)
    assert (found[:, 1] == 1).all()
    assert (found[:, 2] == 0).all()


def test_where_two_neighbours_are_equally_far_the_graph_is_still_made():
    rows = np.array([0, 1, 2, 3, 4, 5, 5, 5, 5, 5], np.float32)[:, None]
    truth = np.arange(10) % 2 == 0
    model = KNeighborsClassifier(3).fit(rows.astype(np.float64), truth)
    scores = Session(export(model, rows)).predict(rows)
    # At 5, five rows are equally far; at 0 to 3 there are three nearest ones.
    np.testing.assert_allclose(scores[[0, 2]], scores_of(model, rows)[[0, 2]], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (AdaBoostClassifier(n_estimators=2), "AdaBoostClassifier cannot be exported as a class"),
        (make_pipeline(Normalizer(), GaussianNB()), "Normalizer cannot be exported before a class"),
        (KNeighborsClassifier(metric="manhattan"), "metric='manhattan' and weights='uniform'"),
        (OneVsRestClassifier(GaussianNB()), "for labels, not for classes"),
        (LinearSVC(), "LinearSVC has no probabilities of more than two classes"),
    ],
)
def test_what_cannot_be_exported_is_named(windows, estimator, message):
    rows, present = windows
    model = fitted(estimator, rows, present @ [1, 2, 0])
    with pytest.raises(ArtefactError, match=message):
        export(model, rows)


def test_outputs_that_are_no_labels_are_rejected(windows):
    rows, present = windows
    model = DecisionTreeClassifier().fit(rows, np.stack([present @ [1, 2, 0]] * 2, axis=1))
    with pytest.raises(ArtefactError, match="not 0 and 1"):
        export(model, rows)


def test_a_graph_that_differs_is_rejected(windows):
    rows, present = windows
    model = DecisionTreeClassifier().fit(rows, present)
    model.predict_proba = lambda rows: [np.full((len(rows), 2), 0.5)] * 3
    with pytest.raises(ArtefactError, match=r"differs from scikit-learn by 0\.5"):
        export(model, rows)
