"""The exported graph gives what scikit-learn gives, or there is no graph."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from common.errors import ArtefactError
from models.export.forest import _round_down, export, predict_proba
from models.session import Session

TOLERANCE = 1e-5


def fresh_rows(rows, count=10_000):
    """float32 rows like the training rows, and beyond them."""
    rng = np.random.default_rng(7)
    return rows[rng.integers(len(rows), size=count)] * rng.uniform(0.5, 1.5, (count, 26)).astype(
        np.float32
    )


def scores_of_sklearn(forest, rows):
    """P(label = 1) straight from scikit-learn, for labels 0 and 1 that both occur."""
    return np.stack([answer[:, 1] for answer in forest.predict_proba(rows)], axis=1)


def test_scores_of_10_000_rows_equal_the_pipeline_of_scikit_learn(windows, steps, graph):
    scaler, pca, forest = steps
    rows = fresh_rows(windows[0])
    expected = scores_of_sklearn(forest, pca.transform(scaler.transform(rows)))
    assert np.abs(Session(graph).predict(rows) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("with_mean", [False, True])
@pytest.mark.parametrize("with_std", [False, True])
def test_every_setting_of_scaler_and_pca_is_followed(windows, whiten, with_mean, with_std):
    rows, present = windows
    scaler = StandardScaler(with_mean=with_mean, with_std=with_std).fit(rows.astype(np.float64))
    pca = PCA(5, whiten=whiten).fit(scaler.transform(rows.astype(np.float64)))
    projected = pca.transform(scaler.transform(rows.astype(np.float64)))
    forest = RandomForestClassifier(5, random_state=0).fit(projected, present.astype(int))
    probe = fresh_rows(rows)
    expected = scores_of_sklearn(forest, pca.transform(scaler.transform(probe)))
    scores = Session(export(forest, scaler=scaler, pca=pca)).predict(probe)
    assert np.abs(scores - expected).max() <= TOLERANCE


@pytest.mark.parametrize(
    "forest",
    [
        RandomForestClassifier(7, random_state=0),
        RandomForestClassifier(300, max_depth=1, random_state=0),
        RandomForestClassifier(7, max_depth=3, class_weight="balanced", random_state=0),
        RandomForestClassifier(1, bootstrap=False, random_state=0),
        RandomForestClassifier(7, max_leaf_nodes=30, random_state=0),
        ExtraTreesClassifier(7, random_state=0),
    ],
    ids=str,
)
def test_a_plain_forest_of_any_depth_is_read(windows, forest):
    rows, present = windows
    forest.fit(rows, present.astype(int))
    probe = fresh_rows(rows)
    scores = Session(export(forest)).predict(probe)
    assert np.abs(scores - scores_of_sklearn(forest, probe)).max() <= TOLERANCE


def test_a_scaler_alone_and_a_pca_alone_are_enough(windows):
    rows, present = windows
    for kind, step in (("scaler", StandardScaler()), ("pca", PCA(6))):
        forest = RandomForestClassifier(5, random_state=0)
        forest.fit(step.fit_transform(rows.astype(np.float64)), present.astype(int))
        probe = fresh_rows(rows)
        scores = Session(export(forest, **{kind: step})).predict(probe)
        assert (
            np.abs(scores - scores_of_sklearn(forest, step.transform(probe))).max() <= TOLERANCE
        ), kind


def test_a_feature_that_never_changes_does_no_harm(windows):
    rows, present = windows
    rows = rows.copy()
    rows[:, 3] = 5
    scaler = StandardScaler().fit(rows.astype(np.float64))
    forest = RandomForestClassifier(5, random_state=0).fit(
        scaler.transform(rows), present.astype(int)
    )
    assert np.isfinite(Session(export(forest, scaler=scaler)).predict(rows)).all()


def test_labels_that_never_or_always_occur_score_0_or_1(windows):
    rows, present = windows
    labels = np.column_stack([np.zeros(400), present[:, 0], np.ones(400)]).astype(int)
    forest = RandomForestClassifier(5, random_state=0).fit(rows, labels)
    scores = Session(export(forest)).predict(fresh_rows(rows))
    np.testing.assert_allclose(scores[:, 0], 0)
    np.testing.assert_allclose(scores[:, 2], 1, atol=TOLERANCE)
    assert scores[:, 1].std() > 0.1


@pytest.mark.parametrize("value", [0, 1])
def test_a_forest_without_a_single_split_is_read(windows, value):
    rows, _ = windows
    forest = RandomForestClassifier(3).fit(rows, np.full((400, 2), value))
    np.testing.assert_allclose(Session(export(forest)).predict(rows), value, atol=TOLERANCE)


def test_labels_may_be_bool_or_float(windows):
    rows, present = windows
    expected = scores_of_sklearn(
        RandomForestClassifier(5, random_state=0).fit(rows, present.astype(int)), rows
    )
    for dtype in (bool, float):
        forest = RandomForestClassifier(5, random_state=0).fit(rows, present.astype(dtype))
        np.testing.assert_allclose(Session(export(forest)).predict(rows), expected, atol=TOLERANCE)


@pytest.mark.parametrize("names", [["flute", "horn"], ["flute", "horn", "oboe", "piano"]])
def test_one_output_gives_one_score_a_class(windows, names):
    rows, present = windows
    forest = RandomForestClassifier(5, random_state=0).fit(
        rows, np.array(names)[present.sum(axis=1) % len(names)]
    )
    probe = fresh_rows(rows)
    scores = Session(export(forest)).predict(probe)
    np.testing.assert_allclose(scores, forest.predict_proba(probe), atol=TOLERANCE)


def test_rows_exactly_on_a_split_fall_on_its_left_side():
    levels = np.arange(20, dtype=np.float32)[:, None]
    forest = RandomForestClassifier(1, bootstrap=False).fit(
        levels, np.column_stack([levels > 9, levels > 4])
    )
    # Midpoints of whole numbers are the splits, and representable.
    on_splits = np.arange(0, 20, 0.5, dtype=np.float32)[:, None]
    scores = Session(export(forest)).predict(on_splits)
    np.testing.assert_array_equal(scores, np.column_stack([on_splits > 9.5, on_splits > 4.5]))


@given(threshold=st.floats(allow_nan=False), x=st.floats(width=32, allow_nan=False))
def test_rounding_a_threshold_down_changes_no_comparison(threshold, x):
    with np.errstate(over="ignore"):
        rounded = _round_down(np.array([threshold]))[0]
        beside = np.nextafter(np.float32(threshold), np.float32([-np.inf, np.inf]))
    for value in (np.float32(x), np.float32(rounded), *beside):
        assert (value <= rounded) == (float(value) <= threshold)


def test_the_graph_holds_all_trees_in_one_operator(graph):
    operators = [node.op_type for node in onnx.load_from_string(graph).graph.node]
    assert operators == ["Sub", "Div", "Cast", "MatMul", "Sub", "Cast", "TreeEnsembleRegressor"]


def test_the_graph_is_valid_onnx(graph):
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)


def test_the_same_forest_gives_the_same_bytes(steps, graph):
    scaler, pca, forest = steps
    assert export(forest, scaler=scaler, pca=pca) == graph


def test_a_graph_that_differs_from_predict_proba_is_rejected(windows):
    class Crooked(RandomForestClassifier):
        def predict_proba(self, rows):
            return [answer + 2e-5 for answer in super().predict_proba(rows)]

    Crooked.__name__ = "RandomForestClassifier"
    rows, present = windows
    with pytest.raises(ArtefactError, match="differs from scikit-learn by 2e-05"):
        export(Crooked(3).fit(rows, present.astype(int)))


def test_other_estimators_are_rejected_by_name(windows, steps):
    rows, present = windows
    _, _, forest = steps
    with pytest.raises(
        ArtefactError, match="GradientBoostingClassifier cannot be exported, only RandomForest"
    ):
        export(GradientBoostingClassifier(n_estimators=1).fit(rows, present[:, 0]))
    with pytest.raises(ArtefactError, match="MinMaxScaler cannot be exported, only StandardScaler"):
        export(forest, scaler=MinMaxScaler().fit(rows))
    with pytest.raises(ArtefactError, match="StandardScaler cannot be exported, only PCA"):
        export(forest, pca=StandardScaler().fit(rows))


def test_labels_other_than_0_and_1_are_rejected(windows):
    rows, present = windows
    forest = RandomForestClassifier(2).fit(rows, present.astype(int) * [1, 2, 1])
    with pytest.raises(ArtefactError, match="label 1 of the forest has the classes"):
        export(forest)


def test_predict_proba_gives_the_graph_s_columns(windows, steps, graph):
    scaler, pca, forest = steps
    rows = fresh_rows(windows[0], count=50)
    np.testing.assert_allclose(
        predict_proba(forest, rows, scaler=scaler, pca=pca),
        Session(graph).predict(rows),
        atol=TOLERANCE,
    )
