"""Small models on embeddings, and which of them is best on sources left out.

A logistic regression for each label, class means (prototypes) where a label has few recordings, and
a small network.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from training.common.standard import mean_and_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation.metrics import Mask, Scores

Array = npt.NDArray[np.float32]
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse regularisation of the logistic regression."""
ALONE = 0.01
"""The one used where no source can be left out; it is also tried if others are not."""
FITS = 700
"""Labels up to which regressions and networks are tried: the more labels, the fewer strengths."""
FEW = 3
"""Recordings of a label up to which prototypes are tried."""
UNITS = 32
"""Of the small network."""
DECAYS = (1.0, 30.0)
"""Weight decay of the small network, as scikit-learn counts it."""
EPOCHS = 40
MOST_ROWS = 4_000
"""That the small network learns from, drawn at random."""
FOLDS = 5
NOISE_SHARE = 1.0
"""What windows of noise weigh, all together, beside the recordings."""
NEWTON = 40
"""Steps at most, of at most 1 each."""
BLOCK = 32
"""Labels whose prototypes are fitted at a time, so that memory does not grow with the labels."""
NEVER = -60.0
"""Logit of a label that a fold has no recording of."""
TRIVIAL = "each label's share"
_LEAST_SCALE = 1e-6
_LEAST_STEP = 1e-9


@dataclass(frozen=True)
class Material:
    """What heads learn from."""

    found: Array
    """Embeddings, (n, numbers)."""
    truth: Mask
    """(n, labels)."""
    sources: npt.NDArray[Any]
    """(n,)."""
    recordings: npt.NDArray[Any]
    """(n,)."""
    noise: Array
    """Embeddings of windows that have no label."""
    copies: Mask | None = None
    """(n,), whether a window is an augmented copy, on which nothing is measured; None: none is."""

    def some(self, rows: npt.NDArray[np.int64]) -> Material:
        """Return these rows, with all noise."""
        return replace(
            self,
            found=self.found[rows],
            truth=self.truth[rows],
            sources=self.sources[rows],
            recordings=self.recordings[rows],
            copies=None if self.copies is None else self.copies[rows],
        )

    @property
    def fewest(self) -> int:
        """The least number of recordings that a label has, of those that have any."""
        counts = [len(np.unique(self.recordings[on])) for on in self.truth.T if on.any()]
        return min(counts, default=0)

    @property
    def all(self) -> npt.NDArray[np.float64]:
        """All embeddings, noise behind."""
        return np.concatenate([self.found, self.noise]).astype(np.float64)


@dataclass(frozen=True)
class Head:
    """Dense layers from embeddings as they are to logits, with ReLU between them."""

    layers: tuple[tuple[Array, Array], ...]
    """Weights (in, out) and bias (out,) of each."""

    def scores(self, embeddings: Array) -> Scores:
        """Return P(label), (n, labels), of embeddings (n, numbers)."""
        logits = embeddings
        for number, (weights, bias) in enumerate(self.layers):
            logits = (np.maximum(logits, 0) if number else logits) @ weights + bias
        scores: Scores = (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
        return scores


class Choice(NamedTuple):
    """A kind of head with its setting."""

    kind: str
    """prototypes, regression or network."""
    setting: float = 0.0
    """Inverse regularisation, or weight decay."""

    def __str__(self) -> str:
        """As people are told."""
        if self.kind == "regression":
            return f"logistic regression, C {self.setting:g}"
        if self.kind == "network":
            return f"network of {UNITS} units, decay {self.setting:g}"
        return self.kind


def choices(material: Material) -> list[Choice]:
    """Return what can be tried on this material."""
    labels = material.truth.shape[1]
    step = -(-len(STRENGTHS) * labels // FITS) or 1
    middle = min(range(len(STRENGTHS)), key=lambda at: abs(STRENGTHS[at] - ALONE))
    strengths = STRENGTHS[middle % step :: step] if labels <= FITS else ()
    found = [Choice("regression", strength) for strength in strengths]
    if labels <= FITS:
        found += [Choice("network", decay) for decay in DECAYS]
    if material.fewest <= FEW or not found:
        found.append(Choice("prototypes"))
    return found


def choose(material: Material, seed: int) -> tuple[Choice, dict[str, float]]:
    """Return the best choice, and by choice the mean cross-entropy on sources left out.

    That is of the labels that have sources in two folds or more, so that each fold can learn them;
    the last entry is that of each label's share. Without such a label nothing is tried: prototypes
    where a label has at most 3 recordings or there are very many labels, else a logistic
    regression.
    """
    able, folds = choices(material), _folds(material)
    # A label all of whose sources are in one fold cannot be learnt where that is left out.
    learnt = [material.truth[train].any(axis=0) for train, _ in folds]
    judged = np.logical_and.reduce(learnt) if folds else np.zeros(material.truth.shape[1], bool)
    if not judged.any():
        few = [choice for choice in able if choice.kind == "prototypes"]
        return (few or [Choice("regression", ALONE)])[0], {}
    losses = {choice: _left_out(choice, material, folds, judged, seed) for choice in able}
    best = min(able, key=lambda choice: losses[choice])
    tried = {str(choice): loss for choice, loss in losses.items()}
    return best, tried | {TRIVIAL: _trivial(material, folds, judged)}


def _left_out(
    choice: Choice, material: Material, folds: Sequence[Any], judged: Mask, seed: int
) -> float:
    total = 0.0
    for train, test in folds:
        scores = fit_head(choice, material.some(train), seed).scores(material.found[test])
        truth = material.truth[test]
        total += len(test) * cross_entropy(scores[:, judged], truth[:, judged])
    return total / sum(len(test) for _, test in folds)


def _trivial(material: Material, folds: Sequence[Any], judged: Mask) -> float:
    total = 0.0
    for train, test in folds:
        truth = material.truth[test][:, judged]
        share = material.truth[train][:, judged].mean(axis=0, dtype=np.float32)
        total += len(test) * cross_entropy(np.broadcast_to(share, truth.shape), truth)
    return total / sum(len(test) for _, test in folds)


def cross_entropy(scores: Scores, truth: Mask) -> float:
    """Return the mean over windows and labels."""
    right = np.where(truth, scores, 1 - scores)
    return float(-np.log(np.maximum(right, 1e-6)).mean())


def _folds(
    material: Material,
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return the rows to fit on and those left out, none of which is a copy.

    There are none where there is one source only.
    The largest source comes first, each to the fold where the fewest labels would stay in one fold,
    of these the smallest.
    """
    names, source = np.unique(material.sources, return_inverse=True)
    count = min(FOLDS, len(names))
    if count < 2:
        return []
    order = np.argsort(source, kind="stable")
    first = np.searchsorted(source[order], np.arange(len(names)))
    has, rows = np.logical_or.reduceat(material.truth[order], first), np.bincount(source)
    left, inside = has.sum(axis=0), np.zeros((count, has.shape[1]), bool)
    fold, size = np.zeros(len(names), np.int64), np.zeros(count, np.int64)
    for at in np.argsort(-rows, kind="stable").tolist():
        stays = inside & (inside.sum(axis=0) == 1) & has[at]
        # The fewer sources of a label are still to come, the more this one matters.
        lost = (stays / np.maximum(left, 1)).sum(axis=1)
        best = fold[at] = np.lexsort((size, lost))[0]
        left, size[best], inside[best] = (
            left - has[at],
            size[best] + rows[at],
            inside[best] | has[at],
        )
    out = fold[source]
    original = np.ones(len(out), bool) if material.copies is None else ~material.copies
    return [
        (np.flatnonzero(out != at), np.flatnonzero((out == at) & original)) for at in range(count)
    ]


def fit_head(choice: Choice, material: Material, seed: int) -> Head:
    """Return a head fitted on all of the material; noise is learnt to have no label."""
    every = material.all
    mean, scale = mean_and_scale(every, alike=True)
    exact = (every - mean) / scale
    if choice.kind == "network":
        first, second = _network(material, exact, choice.setting, seed)
    else:
        of = _prototypes if choice.kind == "prototypes" else _regression
        first, second = of(material, exact, choice.setting, seed), None
    weights, bias = first
    outer = weights / scale[:, None]
    layers = [(outer, bias - mean @ outer), *([second] if second else [])]
    return Head(tuple((one.astype(np.float32), two.astype(np.float32)) for one, two in layers))


def _weights(material: Material) -> npt.NDArray[np.float64]:
    rows, noises = len(material.found), len(material.noise)
    return np.repeat([1.0, NOISE_SHARE * rows / noises], [rows, noises])


def _truth(material: Material) -> Mask:
    return np.pad(material.truth, ((0, len(material.noise)), (0, 0)))


def _regression(material: Material, exact: Any, strength: float, seed: int) -> Any:
    """Return weights (numbers, labels) and bias of standardised embeddings."""
    from sklearn.linear_model import LogisticRegression

    weight, truth = _weights(material), _truth(material)
    weights, bias = np.zeros((exact.shape[1], truth.shape[1])), np.full(truth.shape[1], NEVER)
    for at in np.flatnonzero(truth.any(axis=0)):
        model = LogisticRegression(C=strength, max_iter=1000, random_state=seed)
        model.fit(exact, truth[:, at], sample_weight=weight)
        weights[:, at], bias[at] = model.coef_[0], model.intercept_[0]
    return weights, bias


def _prototypes(material: Material, exact: Any, setting: float, seed: int) -> Any:
    """Return weights and bias of the way from the mean of all else to the mean of each label.

    Each recording of a label counts the same in the label's mean, by its windows with the label;
    in all else it counts by the share of its windows without. How far along is half-way, and how
    steep, is fitted to the windows.
    """
    del setting, seed
    truth, weight = _truth(material), _weights(material)
    ways = _ways(material, exact)
    slope, middle = np.zeros(len(ways)), np.full(len(ways), NEVER)
    known = np.flatnonzero(truth.any(axis=0))
    for first in range(0, len(known), BLOCK):
        some = known[first : first + BLOCK]
        slope[some], middle[some] = _sigmoids(exact @ ways[some].T, truth[:, some], weight)
    return slope * ways.T, middle


def _ways(material: Material, exact: Any) -> Any:
    """Return the directions (labels, numbers), of length 1, of standardised embeddings."""
    from scipy.sparse import csr_array

    shape, noises = (len(exact), material.truth.shape[1]), len(material.noise)
    row, label = np.nonzero(material.truth)
    recordings = np.unique(material.recordings, return_inverse=True)[1]
    counts = np.bincount(recordings)
    alike = np.append(1 / counts[recordings], np.full(noises, NOISE_SHARE * len(counts) / noises))
    pairs, windows = np.unique(
        recordings[row] * shape[1] + label, return_inverse=True, return_counts=True
    )[1:]
    own = csr_array((1 / windows[pairs], (row, label)), shape).T
    beside = csr_array((alike[row], (row, label)), shape).T
    mean = own @ exact / np.maximum(own.sum(axis=1), 1)[:, None]
    rest = (alike @ exact - beside @ exact) / (alike.sum() - beside.sum(axis=1))[:, None]
    ways = mean - rest
    return ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), _LEAST_SCALE)


def _sigmoids(along: Any, on: Mask, weight: Any) -> tuple[Any, Any]:
    """Return slope and intercept of a logistic regression on each column, by Newton's method.

    As scikit-learn's with C = 1 on columns of unit spread, for many labels at once.
    """
    spread = np.maximum(along.std(axis=0), _LEAST_SCALE)
    x, w = along / spread, weight[:, None]
    slope = np.zeros(x.shape[1])
    middle = np.log(((w * on).sum(axis=0) + 0.5) / ((w * ~on).sum(axis=0) + 0.5))
    for _ in range(NEWTON):
        p = 1 / (1 + np.exp(-np.clip(slope * x + middle, -60, 60)))
        wrong, curve = w * (p - on), w * p * (1 - p)
        down = ((wrong * x).sum(axis=0) + slope, wrong.sum(axis=0))
        a, b = (curve * x * x).sum(axis=0) + 1, (curve * x).sum(axis=0)
        c = curve.sum(axis=0) + _LEAST_SCALE
        det = np.maximum(a * c - b * b, _LEAST_SCALE)
        steps = (c * down[0] - b * down[1]) / det, (a * down[1] - b * down[0]) / det
        slope -= np.clip(steps[0], -1, 1)
        middle -= np.clip(steps[1], -1, 1)
        if np.abs(steps).max() < _LEAST_STEP:
            break
    return slope / spread, middle


def _network(material: Material, exact: Any, decay: float, seed: int) -> Any:
    """Return weights and bias of the two layers of a small network, for standardised embeddings."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    rng, rows, labels = np.random.default_rng(seed), len(material.found), material.truth.shape[1]
    drawn = rng.permutation(rows)[:MOST_ROWS]
    quiet = rows + rng.integers(len(material.noise), size=len(drawn))
    some = np.concatenate([drawn, quiet])
    truth = _truth(material)[some]
    if not truth.any():
        return (np.zeros((exact.shape[1], 1)), np.zeros(1)), (
            np.zeros((1, labels)), np.full(labels, NEVER),
        )  # fmt: skip
    model = MLPClassifier(
        (UNITS,), alpha=decay, max_iter=EPOCHS, random_state=seed, batch_size=min(64, len(some))
    )
    with warnings.catch_warnings():
        # It is stopped on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(exact[some], truth[:, 0] if labels == 1 else truth)
    return tuple(zip(model.coefs_, model.intercepts_, strict=True))
