"""Fitted scikit-learn classifiers, and pipelines that end in one, as ONNX graphs.

All arithmetic is in float64, as scikit-learn's on float64 rows; trees see float32, as there.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import ArtefactError
from models.export import estimator_nodes as nodes
from models.export.forest import columns_of
from models.export.onnx_graph import DOUBLE, FLOAT, Graph

if TYPE_CHECKING:
    from models.export.forest import Column
    from models.manifest import Task

Matrix: TypeAlias = npt.NDArray[Any]

TOLERANCE = 1e-5
CHECK_ROWS = 10_000
BLOCK = 256
"""Rows of one call while checking: neighbours need a distance to every training row for each."""
TIE = 1e-9
"""Relative difference of distances below which chance decides who is the last neighbour."""
COMPOSITES = ("OneVsRestClassifier", "MultiOutputClassifier")


class Part(NamedTuple):
    """A classifier, and where its scores come from."""

    classifier: Any
    columns: list[Column]


def export(estimator: Any, rows: Matrix) -> bytes:
    """Return the graph from `features` (n, features) float32 to `scores` (n, labels) float32.

    estimator: a fitted classifier of CLASSIFIERS, one of COMPOSITES of them, or a Pipeline of
    TRANSFORMS that ends in one. Several outputs are labels that are 0 or 1 each; one output is a
    score per class. rows: typical ones, (n, features).

    Raises ArtefactError for another estimator, or if the graph differs from `predict_proba` by more
    than 1e-5 on the rows, or on 10,000 more between them. Rows are left out of this where the last
    neighbour and the next one are equally far: which of them counts is chance.
    """
    from onnx import helper

    *before, _ = _steps(estimator)
    graph = Graph()
    x = graph.add("Cast", "features", to=DOUBLE)
    for step in before:
        emit = _known(nodes.TRANSFORMS, step, "before a classifier")
        x = emit(graph, x, step)
    parts = _parts(estimator)
    graph.add("Concat", *(_emit(graph, x, part) for part in parts), axis=1)
    takes = helper.make_tensor_value_info("features", FLOAT, ["n", rows.shape[1]])
    content = graph.serialise(takes, labels=sum(len(part.columns) for part in parts))
    _check(content, estimator, rows)
    return content


def scores_of(estimator: Any, rows: Matrix) -> Matrix:
    """Return scikit-learn's scores (n, labels) of rows, columns as in the graph."""
    x = _before(estimator, rows)
    return np.concatenate([_scores(part, x) for part in _parts(estimator)], axis=1)


def classes_of(estimator: Any) -> list[str]:
    """Return the classes by name in the order of the scores; of labels their numbers."""
    parts = _parts(estimator)
    if task_of(estimator) == "multi-label":
        return [str(number) for number in range(sum(len(part.columns) for part in parts))]
    return [str(name) for name in parts[0].classifier.classes_]


def task_of(estimator: Any) -> Task:
    """Return whether scores are of labels, each on or off, or of classes, of which one is right."""
    classifier = _steps(estimator)[-1]
    if type(classifier).__name__ in COMPOSITES or _has_outputs(classifier):
        return "multi-label"
    truths = np.asarray(classifier.classes_).dtype == np.bool_
    return "multi-label" if truths else "multi-class"


def _steps(estimator: Any) -> list[Any]:
    """Return the steps of nested pipelines in order, without those that do nothing."""
    if not hasattr(estimator, "steps"):
        return [estimator]
    steps = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
    return [inner for step in steps for inner in _steps(step)]


def _before(estimator: Any, rows: Matrix) -> Matrix:
    x = rows.astype(np.float64)
    for step in _steps(estimator)[:-1]:
        x = step.transform(x)
    return x


def _known(table: dict[str, Any], estimator: Any, where: str) -> Any:
    name = type(estimator).__name__
    if name not in table:
        raise ArtefactError(f"{name} cannot be exported {where}, only {', '.join(table)}")
    return table[name]


def _parts(estimator: Any) -> list[Part]:
    """Return the classifiers whose scores stand side by side. Raises ArtefactError."""
    classifier = _steps(estimator)[-1]
    if type(classifier).__name__ not in COMPOSITES:
        _known(nodes.CLASSIFIERS, classifier, "as a classifier")
        return [Part(classifier, _columns(classifier))]
    if not getattr(classifier, "multilabel_", True):
        raise ArtefactError("OneVsRestClassifier can be exported for labels, not for classes")
    return [Part(part, _of_label(part)) for part in classifier.estimators_]


def _of_label(part: Any) -> list[Column]:
    """Return the column of a label's classifier that says it is on."""
    if _is_constant(part):
        return [(0, None)]
    _known(nodes.CLASSIFIERS, part, "for a label")
    classes = np.asarray(part.classes_).tolist()
    if not set(classes) <= {0, 1}:
        raise ArtefactError(f"a label has the classes {classes}, not 0 and 1")
    return [(0, classes.index(1) if 1 in classes else None)]


def _is_constant(part: Any) -> bool:
    """Whether it is what OneVsRestClassifier has for a label that was always on, or never."""
    return type(part).__name__ == "_ConstantPredictor"


def _has_outputs(classifier: Any) -> bool:
    """Whether a classifier has several outputs of its own, each a label."""
    if type(classifier).__name__ == "MLPClassifier":
        return bool(classifier._label_binarizer.y_type_ == "multilabel-indicator")  # noqa: SLF001
    return isinstance(classifier.classes_, list)


def _columns(classifier: Any) -> list[Column]:
    """Return where each score comes from. Raises ArtefactError for outputs that are no labels."""
    if not _has_outputs(classifier):
        return columns_of(SimpleNamespace(n_outputs_=1, classes_=classifier.classes_))
    if type(classifier).__name__ == "MLPClassifier":
        return [(0, at) for at in range(classifier.n_outputs_)]
    outputs = len(classifier.classes_)
    return columns_of(SimpleNamespace(n_outputs_=outputs, classes_=classifier.classes_))


def _scores(part: Part, rows: Matrix) -> Matrix:
    """Return the scores (n, columns) of a part, of transformed rows."""
    classifier, picked = part
    if _is_constant(classifier):
        return np.full((len(rows), 1), _constant(classifier))
    if hasattr(classifier, "predict_proba"):
        found = classifier.predict_proba(rows)
    else:
        margin = classifier.decision_function(rows)
        if margin.ndim > 1:
            name = type(classifier).__name__
            raise ArtefactError(f"{name} has no probabilities of more than two classes")
        found = 1 / (1 + np.exp(-margin))
        found = np.stack([1 - found, found], axis=1)
    found = found if isinstance(found, list) else [found]
    absent = np.zeros(len(rows))
    return np.stack(
        [absent if at is None else found[output][:, at] for output, at in picked], axis=1
    )


def _constant(part: Any) -> float:
    return float(np.ravel(part.y_)[0])


def _emit(graph: Graph, x: str, part: Part) -> str:
    """Add a part, and return the name of its scores, float32 (n, columns)."""
    classifier, picked = part
    if _is_constant(classifier) or all(at is None for _, at in picked):
        value = _constant(classifier) if _is_constant(classifier) else 0.0
        found = nodes.constant(graph, x, np.full((1, len(picked)), value))
    else:
        found = nodes.CLASSIFIERS[type(classifier).__name__](graph, x, classifier, picked)
    return graph.add("Cast", found, to=FLOAT)


def _check(content: bytes, estimator: Any, rows: Matrix) -> None:
    from models.session import Session

    drawn = np.concatenate([rows, _between(rows)]).astype(np.float32)
    settled = _settled(estimator, drawn)
    session = Session(content)
    blocks = [drawn[first : first + BLOCK] for first in range(0, len(drawn), BLOCK)]
    found = np.concatenate([session.predict(block) for block in blocks])
    difference = np.abs(found - scores_of(estimator, drawn)).max(axis=1)[settled]
    if not len(difference) or not difference.max() <= TOLERANCE:
        raise ArtefactError(
            f"the exported graph differs from scikit-learn by {difference.max(initial=0):.2g}; "
            f"at most {TOLERANCE} is allowed"
        )


def _between(rows: Matrix) -> Matrix:
    """Draw rows whose features are each between those of two of the given rows."""
    rng = np.random.default_rng(0)
    shape = (CHECK_ROWS, rows.shape[1])
    one, other = (
        np.take_along_axis(rows.astype(np.float64), rng.integers(len(rows), size=shape), axis=0)
        for _ in range(2)
    )
    return one + rng.random(shape) * (other - one)


def _settled(estimator: Any, rows: Matrix) -> npt.NDArray[np.bool_]:
    """Return which rows have neighbours that no tie decides; all rows, without neighbours."""
    settled = np.ones(len(rows), bool)
    x = _before(estimator, rows)
    for classifier, _ in _parts(estimator):
        if type(classifier).__name__ == "KNeighborsClassifier":
            count = min(classifier.n_neighbors + 1, len(classifier._fit_X))  # noqa: SLF001
            if count > classifier.n_neighbors:
                last, following = classifier.kneighbors(x, count)[0][:, -2:].T
                settled &= following - last > TIE * np.maximum(following, 1e-3)
    return settled
