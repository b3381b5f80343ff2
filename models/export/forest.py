"""A scikit-learn forest as one ONNX graph: scale, project, and all trees in a single operator.

The usual converter writes one ensemble per tree and target; here one `TreeEnsembleRegressor` holds
them all. Each leaf carries P(label) / trees, so that the sum over the trees is what `predict_proba`
averages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import ArtefactError

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto

Matrix: TypeAlias = npt.NDArray[Any]
Column: TypeAlias = tuple[int, int | None]
"""Where a score comes from: which output of the forest, which of its classes; None: a label that
never occurred."""

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
"""Older than any ONNX Runtime we allow."""
CHECK_ROWS = 10_000
TOLERANCE = 1e-5


def export(forest: Any, *, scaler: Any = None, pca: Any = None) -> bytes:
    """Return the ONNX graph from `features` (n, features) float32 to `scores` (n, labels) float32.

    forest: a fitted RandomForestClassifier or ExtraTreesClassifier. With several outputs, each a
    label that is 0 or 1, a score is P(label = 1); with one output, a score is P(class), one for
    each of its classes. scaler: a fitted StandardScaler; pca: a fitted PCA. Fit both on float64:
    float32 sums depend on the BLAS.

    Raises ArtefactError if an estimator is of another kind, or if the graph differs from
    `predict_proba` by more than 1e-5 on any of 10,000 rows.
    """
    _expect(forest, "RandomForestClassifier", "ExtraTreesClassifier")
    columns = columns_of(forest)
    chain = _Chain()
    if scaler is not None:
        _scale(chain, scaler)
    if pca is not None:
        _project(chain, pca)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    chain.add("TreeEnsembleRegressor", domain="ai.onnx.ml", attributes=averaged(trees, columns))
    takes = next(step for step in (scaler, pca, forest) if step is not None).n_features_in_
    graph = _model(chain, inputs=takes, outputs=len(columns)).SerializeToString()
    _check(graph, forest, scaler=scaler, pca=pca)
    return bytes(graph)


def predict_proba(forest: Any, rows: Matrix, *, scaler: Any = None, pca: Any = None) -> Matrix:
    """Return scikit-learn's scores (n, labels) of float32 rows, columns as in the graph."""
    if scaler is not None:
        rows = scaler.transform(rows)
    if pca is not None:
        rows = pca.transform(rows.astype(np.float64))
    scores = forest.predict_proba(rows)
    scores = [scores] if forest.n_outputs_ == 1 else scores
    absent = np.zeros(len(rows))
    return np.stack(
        [absent if at is None else scores[output][:, at] for output, at in columns_of(forest)],
        axis=1,
    )


class _Chain:
    """Operators one after another, each fed by the one before it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "features"

    def add(
        self,
        operator: str,
        constant: Matrix | None = None,
        *,
        domain: str = "",
        attributes: dict[str, Any] | None = None,
    ) -> None:
        """Append an operator that takes the last result, and a constant if given."""
        from onnx import helper, numpy_helper

        name = f"{operator.lower()}_{len(self.nodes)}"
        inputs = [self.last]
        if constant is not None:
            inputs.append(f"{name}_by")
            self.constants.append(
                numpy_helper.from_array(np.ascontiguousarray(constant), inputs[-1])
            )
        node = helper.make_node(operator, inputs, [name], name=name, domain=domain)
        node.attribute.extend(attribute(key, value) for key, value in (attributes or {}).items())
        self.nodes.append(node)
        self.last = name


def _scale(chain: _Chain, scaler: Any) -> None:
    """Centre and scale in float32, as scikit-learn does with float32 rows."""
    _expect(scaler, "StandardScaler")
    if scaler.with_mean:
        chain.add("Sub", scaler.mean_.astype(np.float32))
    if scaler.with_std:
        chain.add("Div", scaler.scale_.astype(np.float32))


def _project(chain: _Chain, pca: Any) -> None:
    """Project in float64 and round once, so that rows near a split branch as in scikit-learn."""
    _expect(pca, "PCA")
    components = pca.components_.T.astype(np.float64)
    chain.add("Cast", attributes={"to": _onnx_type(np.float64)})
    chain.add("MatMul", components)
    chain.add("Sub", pca.mean_.reshape(1, -1) @ components)
    if pca.whiten:
        deviation = np.sqrt(pca.explained_variance_)
        chain.add("Div", np.maximum(deviation, np.finfo(deviation.dtype).eps).astype(np.float64))
    chain.add("Cast", attributes={"to": _onnx_type(np.float32)})


def columns_of(forest: Any) -> list[Column]:
    """Return where the scores of a forest or a tree come from. Raises ArtefactError."""
    if forest.n_outputs_ == 1:
        # Truth values are one label that is on or off, anything else is a class each.
        truths = np.asarray(forest.classes_).dtype == np.bool_
        return [(0, at) for at, one in enumerate(forest.classes_) if one or not truths]
    for label, classes in enumerate(forest.classes_):
        if not set(np.asarray(classes).tolist()) <= {0, 1}:
            raise ArtefactError(
                f"label {label} of the forest has the classes {list(classes)}, not 0 and 1"
            )
    return [
        (label, list(classes).index(1) if 1 in classes else None)
        for label, classes in enumerate(forest.classes_)
    ]


def averaged(trees: list[Any], columns: list[Column]) -> dict[str, Any]:
    """Return the attributes of the one operator that averages trees of scikit-learn."""
    sizes = [tree.node_count for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    leaf = left < 0
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = _round_down(np.concatenate([tree.threshold for tree in trees]))
    weights = np.concatenate([_leaf_scores(tree, columns) for tree in trees])[leaf] / len(trees)
    # Most leaves know only a few labels: leaving out the zeros makes the graph smaller and faster.
    rows, targets = np.nonzero(weights)
    return {
        "n_targets": len(columns),
        "nodes_treeids": tree_ids,
        "nodes_nodeids": node_ids,
        "nodes_featureids": np.where(leaf, 0, feature),
        "nodes_values": np.where(leaf, np.float32(0), threshold),
        "nodes_modes": np.where(leaf, b"LEAF", b"BRANCH_LEQ"),
        "nodes_truenodeids": np.where(leaf, 0, left),
        "nodes_falsenodeids": np.where(leaf, 0, right),
        "target_treeids": tree_ids[leaf][rows],
        "target_nodeids": node_ids[leaf][rows],
        "target_ids": targets,
        "target_weights": weights[rows, targets].astype(np.float32),
    }


def _leaf_scores(tree: Any, columns: list[Column]) -> Matrix:
    """Return P(column), shape (nodes, columns)."""
    value = tree.value / tree.value.sum(axis=2, keepdims=True)
    absent = np.zeros(len(value))
    return np.stack(
        [absent if at is None else value[:, output, at] for output, at in columns], axis=1
    )


def _round_down(threshold: Matrix) -> npt.NDArray[np.float32]:
    """Return the largest float32 <= threshold: `x <= threshold` is the same for any float32 x."""
    nearest = threshold.astype(np.float32)
    return np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def attribute(name: str, value: Any) -> AttributeProto:
    """Return an attribute of a node: an int, an array, or a tensor."""
    # helper.make_attribute looks at every element in Python, which takes seconds for a million
    # nodes.
    from onnx import AttributeProto, TensorProto

    if isinstance(value, int):
        return AttributeProto(name=name, type=AttributeProto.INT, i=value)
    if isinstance(value, TensorProto):
        return AttributeProto(name=name, type=AttributeProto.TENSOR, t=value)
    field, kind = {"f": ("floats", "FLOATS"), "S": ("strings", "STRINGS"), "i": ("ints", "INTS")}[
        value.dtype.kind
    ]
    return AttributeProto(
        name=name, type=AttributeProto.AttributeType.Value(kind), **{field: value.tolist()}
    )


def _onnx_type(dtype: type[np.floating[Any]]) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _model(chain: _Chain, *, inputs: int, outputs: int) -> ModelProto:
    from onnx import helper

    chain.nodes[-1].output[0] = "scores"
    float32 = _onnx_type(np.float32)
    graph = helper.make_graph(
        chain.nodes,
        "forest",
        [helper.make_tensor_value_info("features", float32, ["n", inputs])],
        [helper.make_tensor_value_info("scores", float32, ["n", outputs])],
        chain.constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="timbre"
    )


def _expect(estimator: Any, *kinds: str) -> None:
    found = type(estimator).__name__
    if found not in kinds:
        raise ArtefactError(f"{found} cannot be exported, only {' or '.join(kinds)}")


def _check(graph: bytes, forest: Any, *, scaler: Any, pca: Any) -> None:
    from models.session import Session

    rows = _check_rows(forest, scaler=scaler, pca=pca)
    expected = predict_proba(forest, rows, scaler=scaler, pca=pca)
    difference = float(np.abs(Session(graph).predict(rows) - expected).max())
    if not difference <= TOLERANCE:
        raise ArtefactError(
            f"the exported forest differs from scikit-learn by {difference:.2g}; "
            f"at most {TOLERANCE} is allowed"
        )


def _check_rows(forest: Any, *, scaler: Any, pca: Any) -> npt.NDArray[np.float32]:
    """Draw float32 rows (10,000, features) on the thresholds of the forest and next to them."""
    rng = np.random.default_rng(0)
    splits: list[list[Matrix]] = [[np.zeros(1)] for _ in range(forest.n_features_in_)]
    for estimator in forest.estimators_:
        tree = estimator.tree_
        for feature in np.unique(tree.feature[tree.feature >= 0]):
            splits[feature].append(tree.threshold[tree.feature == feature])
    rows = np.stack([rng.choice(np.concatenate(column), CHECK_ROWS) for column in splits], axis=1)
    if pca is not None:
        rows = pca.inverse_transform(rows)
    if scaler is not None:
        rows = scaler.inverse_transform(rows)
    nearest = rows.astype(np.float32)
    beside: npt.NDArray[np.float32] = np.nextafter(
        nearest, nearest + rng.integers(-1, 2, nearest.shape, np.int8)
    )
    return beside
