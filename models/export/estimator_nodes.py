"""The ONNX nodes of each scikit-learn estimator; x is the name of float64 rows (n, features)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import ArtefactError
from models.export.forest import averaged
from models.export.onnx_graph import DOUBLE, FLOAT
from models.export.tree_ensemble import of_hist_gradient_boosting, of_lightgbm, summed

if TYPE_CHECKING:
    from models.export.forest import Column
    from models.export.onnx_graph import Graph

Matrix: TypeAlias = npt.NDArray[Any]
Transform: TypeAlias = "Callable[[Graph, str, Any], str]"
Classifier: TypeAlias = "Callable[[Graph, str, Any, list[Column]], str]"
"""From x, an estimator and the columns that are asked for to their scores (n, columns)."""


def constant(graph: Graph, x: str, values: Matrix) -> str:
    """Return the same values for every row of x."""
    zero = graph.add("Mul", graph.add("ReduceMax", x, axes=[1], keepdims=1), _wide(graph, 0.0))
    return graph.add("Add", zero, _wide(graph, values))


def _wide(graph: Graph, values: Any) -> str:
    return graph.constant(np.asarray(values, np.float64))


def _standardised(graph: Graph, x: str, scaler: Any) -> str:
    if scaler.with_mean:
        x = graph.add("Sub", x, _wide(graph, scaler.mean_))
    return graph.add("Div", x, _wide(graph, scaler.scale_)) if scaler.with_std else x


def _between_limits(graph: Graph, x: str, scaler: Any) -> str:
    x = graph.add("Mul", x, _wide(graph, scaler.scale_))
    x = graph.add("Add", x, _wide(graph, scaler.min_))
    if scaler.clip:
        x = graph.add("Clip", x, *(_wide(graph, limit) for limit in scaler.feature_range))
    return x


def _by_largest(graph: Graph, x: str, scaler: Any) -> str:
    if getattr(scaler, "clip", False):
        raise ArtefactError("MaxAbsScaler with clip cannot be exported")
    return graph.add("Div", x, _wide(graph, scaler.scale_))


def _robust(graph: Graph, x: str, scaler: Any) -> str:
    if scaler.with_centering:
        x = graph.add("Sub", x, _wide(graph, scaler.center_))
    return graph.add("Div", x, _wide(graph, scaler.scale_)) if scaler.with_scaling else x


def _projected(graph: Graph, x: str, pca: Any) -> str:
    components = pca.components_.T.astype(np.float64)
    x = graph.add("MatMul", x, _wide(graph, components))
    x = graph.add("Sub", x, _wide(graph, pca.mean_.reshape(1, -1) @ components))
    if pca.whiten:
        deviation = np.sqrt(pca.explained_variance_)
        x = graph.add("Div", x, _wide(graph, np.maximum(deviation, np.finfo(np.float64).eps)))
    return x


def _picked(graph: Graph, scores: str, columns: list[Column]) -> str:
    """Return the columns that are asked for of (n, classes)."""
    at = np.array([index for _, index in columns if index is not None], np.int64)
    return graph.add("Gather", scores, graph.constant(at), axis=1)


def _chances(graph: Graph, margin: str, classes: int, columns: list[Column]) -> str:
    """Return P(class) of margins: (n, 1) of two classes, else (n, classes)."""
    if classes > 2:
        return _picked(graph, graph.add("Softmax", margin, axis=1), columns)
    on = graph.add("Sigmoid", margin)
    off = graph.add("Sub", _wide(graph, 1.0), on)
    return _picked(graph, graph.add("Concat", off, on, axis=1), columns)


def _linear(graph: Graph, x: str, model: Any, columns: list[Column]) -> str:
    classes = len(model.classes_)
    if classes > 2 and not hasattr(model, "predict_proba"):
        raise ArtefactError(f"{type(model).__name__} has no probabilities of more than two classes")
    if classes > 2 and model.solver == "liblinear":
        raise ArtefactError("LogisticRegression of liblinear is exported for two classes only")
    margin = graph.add("MatMul", x, _wide(graph, model.coef_.T))
    margin = graph.add("Add", margin, _wide(graph, model.intercept_))
    return _chances(graph, margin, classes, columns)


def _naive_bayes(graph: Graph, x: str, model: Any, columns: list[Column]) -> str:
    apart = graph.add(
        "Sub",
        graph.add("Unsqueeze", x, graph.constant(np.array([1], np.int64))),
        _wide(graph, model.theta_),
    )
    terms = graph.add("Div", graph.add("Mul", apart, apart), _wide(graph, 2 * model.var_))
    total = graph.add("ReduceSum", terms, graph.constant(np.array([2], np.int64)), keepdims=0)
    prior = np.log(model.class_prior_) - 0.5 * np.log(2 * np.pi * model.var_).sum(axis=1)
    likelihood = graph.add("Sub", _wide(graph, prior), total)
    return _picked(graph, graph.add("Softmax", likelihood, axis=1), columns)


_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "identity": "Identity"}


def _perceptron(graph: Graph, x: str, model: Any, columns: list[Column]) -> str:
    last = len(model.coefs_) - 1
    for layer, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        x = graph.add("Add", graph.add("MatMul", x, _wide(graph, weight)), _wide(graph, bias))
        if layer < last:
            x = graph.add(_ACTIVATIONS[model.activation], x)
    if model.out_activation_ == "softmax":
        return _picked(graph, graph.add("Softmax", x, axis=1), columns)
    if model.n_outputs_ == 1:
        return _chances(graph, x, 2, columns)
    return _picked(graph, graph.add("Sigmoid", x), columns)


def _trees(graph: Graph, x: str, forest: Any, columns: list[Column]) -> str:
    trees = [tree.tree_ for tree in getattr(forest, "estimators_", [forest])]
    return graph.trees(graph.add("Cast", x, to=FLOAT), averaged(trees, columns))


def _boosted(graph: Graph, x: str, model: Any, columns: list[Column]) -> str:
    of = of_lightgbm if type(model).__name__ == "LGBMClassifier" else of_hist_gradient_boosting
    margin = graph.add("Cast", graph.trees(x, summed(*of(model))), to=DOUBLE)
    return _chances(graph, margin, len(model.classes_), columns)


def _neighbours(graph: Graph, x: str, model: Any, columns: list[Column]) -> str:
    """Add squared distances to all training rows, the nearest ones, and their votes."""
    if model.effective_metric_ != "euclidean" or model.weights not in {"uniform", "distance"}:
        raise ArtefactError(
            f"KNeighborsClassifier with metric={model.effective_metric_!r} and "
            f"weights={model.weights!r} cannot be exported, only euclidean, uniform or distance"
        )
    rows = np.asarray(model._fit_X, np.float64)  # noqa: SLF001
    votes = graph.constant(_votes(model, columns))
    kept = graph.constant(rows.astype(np.float32)) if _fits_float32(rows) else _wide(graph, rows)
    kept = graph.add("Cast", kept, to=DOUBLE)
    cross = graph.add("MatMul", x, graph.add("Transpose", kept, perm=[1, 0]))
    squares = _wide(graph, (rows * rows).sum(axis=1))
    far = graph.add("Sub", squares, graph.add("Mul", cross, _wide(graph, 2.0)))
    count = graph.constant(np.array([model.n_neighbors], np.int64))
    nearest = graph.second("TopK", far, count, axis=1, largest=0)
    theirs = graph.add("Cast", graph.add("Gather", votes, nearest, axis=0), to=DOUBLE)
    if model.weights == "uniform":
        return graph.add("ReduceMean", theirs, axes=[1], keepdims=0)
    weights = _weights(graph, x, graph.add("Gather", kept, nearest, axis=0))
    axis = graph.constant(np.array([1], np.int64))
    total = graph.add("ReduceSum", graph.add("Mul", theirs, weights), axis, keepdims=0)
    return graph.add("Div", total, graph.add("ReduceSum", weights, axis, keepdims=0))


def _votes(model: Any, columns: list[Column]) -> npt.NDArray[np.float32]:
    """Return whether each training row is of each column, (rows, columns)."""
    classes = model._y.reshape(len(model._fit_X), -1)  # noqa: SLF001
    absent = np.zeros(len(classes), bool)
    picked = [absent if at is None else classes[:, output] == at for output, at in columns]
    return np.stack(picked, axis=1).astype(np.float32)


def _fits_float32(rows: Matrix) -> bool:
    return bool((rows == rows.astype(np.float32)).all())


def _weights(graph: Graph, x: str, neighbours: str) -> str:
    """Return 1 / distance, (n, neighbours, 1); where one is 0, only such neighbours count."""
    one = graph.constant(np.array([1], np.int64))
    apart = graph.add("Sub", neighbours, graph.add("Unsqueeze", x, one))
    distance = graph.add("Sqrt", graph.add("ReduceSumSquare", apart, axes=[2], keepdims=1))
    same = graph.add("Cast", graph.add("Equal", distance, _wide(graph, 0.0)), to=DOUBLE)
    some = graph.add(
        "Greater", graph.add("ReduceMax", same, axes=[1], keepdims=1), _wide(graph, 0.0)
    )
    return graph.add("Where", some, same, graph.add("Reciprocal", distance))


TRANSFORMS: dict[str, Transform] = {
    "StandardScaler": _standardised,
    "MinMaxScaler": _between_limits,
    "MaxAbsScaler": _by_largest,
    "RobustScaler": _robust,
    "PCA": _projected,
}
CLASSIFIERS: dict[str, Classifier] = {
    "RandomForestClassifier": _trees,
    "ExtraTreesClassifier": _trees,
    "DecisionTreeClassifier": _trees,
    "HistGradientBoostingClassifier": _boosted,
    "LGBMClassifier": _boosted,
    "KNeighborsClassifier": _neighbours,
    "LogisticRegression": _linear,
    "LinearSVC": _linear,
    "MLPClassifier": _perceptron,
    "GaussianNB": _naive_bayes,
}
