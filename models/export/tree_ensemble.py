"""Trees of gradient boosting as the attributes of one TreeEnsembleRegressor, in double precision.

Both libraries compare float64 features with float64 thresholds and add up float64 leaves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from common.errors import ArtefactError

Values = npt.NDArray[Any]


class Tree(NamedTuple):
    """One tree as arrays (nodes,)."""

    feature: Values
    threshold: Values
    left: Values
    """Where `feature <= threshold`; -1 in a leaf."""
    right: Values
    value: Values
    """What a leaf adds."""
    target: int
    """The score that it is added to."""


def summed(trees: list[Tree], base: Values) -> dict[str, Any]:
    """Return the attributes of the operator that adds up trees. base: what the sums begin with."""
    from onnx import numpy_helper

    sizes = [len(tree.left) for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    feature, threshold, left, right, value = (
        np.concatenate([np.asarray(tree[at]) for tree in trees]) for at in range(5)
    )
    targets = np.repeat([tree.target for tree in trees], sizes)
    leaf = left < 0
    doubles = {
        "nodes_values": np.where(leaf, 0.0, threshold),
        "target_weights": value[leaf],
        "base_values": np.asarray(base).ravel(),
    }
    return {
        "n_targets": int(targets.max()) + 1,
        "nodes_treeids": tree_ids,
        "nodes_nodeids": node_ids,
        "nodes_featureids": np.where(leaf, 0, feature).astype(np.int64),
        "nodes_modes": np.where(leaf, b"LEAF", b"BRANCH_LEQ"),
        "nodes_truenodeids": np.where(leaf, 0, left).astype(np.int64),
        "nodes_falsenodeids": np.where(leaf, 0, right).astype(np.int64),
        "target_treeids": tree_ids[leaf],
        "target_nodeids": node_ids[leaf],
        "target_ids": targets[leaf],
    } | {
        f"{name}_as_tensor": numpy_helper.from_array(values.astype(np.float64), name)
        for name, values in doubles.items()
    }


def of_hist_gradient_boosting(estimator: Any) -> tuple[list[Tree], Values]:
    """Return trees and base of a HistGradientBoostingClassifier. Raises ArtefactError."""
    trees = []
    for step in estimator._predictors:  # noqa: SLF001 - nothing public has the trees
        for target, predictor in enumerate(step):
            nodes = predictor.nodes
            if nodes["is_categorical"].any():
                raise ArtefactError("trees that split categories cannot be exported")
            leaf = nodes["is_leaf"].astype(bool)
            left, right = (
                np.where(leaf, -1, nodes[side].astype(int)) for side in ("left", "right")
            )
            trees.append(
                Tree(
                    nodes["feature_idx"],
                    nodes["num_threshold"],
                    left,
                    right,
                    nodes["value"],
                    target,
                )
            )
    return trees, estimator._baseline_prediction  # noqa: SLF001


def of_lightgbm(estimator: Any) -> tuple[list[Tree], Values]:
    """Return trees and base of an LGBMClassifier. Raises ArtefactError."""
    model = estimator.booster_.dump_model()
    if model.get("average_output"):
        raise ArtefactError("a random forest of LightGBM cannot be exported, only its boosting")
    every = model["num_tree_per_iteration"]
    trees = [
        _of_structure(one["tree_structure"], number % every)
        for number, one in enumerate(model["tree_info"])
    ]
    return trees, np.zeros(every)


def _of_structure(root: dict[str, Any], target: int) -> Tree:
    rows: list[list[float]] = []

    def put(node: dict[str, Any]) -> int:
        at = len(rows)
        rows.append([0, 0.0, -1, -1, node.get("leaf_value", 0.0)])
        if "split_feature" in node:
            if node["decision_type"] != "<=":
                raise ArtefactError("trees that split categories cannot be exported")
            rows[at][:2] = node["split_feature"], node["threshold"]
            rows[at][2] = put(node["left_child"])
            rows[at][3] = put(node["right_child"])
        return at

    put(root)
    feature, threshold, left, right, value = np.array(rows, np.float64).T
    return Tree(feature.astype(int), threshold, left.astype(int), right.astype(int), value, target)
