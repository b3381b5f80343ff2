"""Support vector machines on descriptors, one against the rest, tuned by cross-validation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.common.errors import MaterialError
from training.common.recipe import RecipeError
from training.common.standard import mean_and_scale
from training.pictures.dataset.folders import some
from training.pictures.embeddings.svm_folds import folds as make_folds
from training.pictures.embeddings.svm_folds import learnt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.common.progress import Progress

KERNELS = ("linear", "rbf", "sigmoid")
MAX_CLASSES = 1000
"""One machine for each class."""
BYTES_PER_PAIR = 24
"""Maximum of memory for each pair of pictures."""
Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The grid of the cross-validation."""

    kernels: tuple[str, ...] = KERNELS
    """linear, rbf, sigmoid."""
    costs: tuple[float, ...] = (0.3, 3.0, 30.0)
    """C."""
    gammas: tuple[float, ...] = (0.25, 1.0, 4.0)
    """Times one over the number of descriptors; the linear kernel takes only C."""
    folds: int = 3
    """Folds of the cross-validation; up to `most_sources` sources are left out one by one."""
    most_sources: int = 5
    """More sources are grouped into `folds` folds."""
    most: int = 12_000
    """Maximum of training pictures: memory and time grow with their square."""

    def __post_init__(self) -> None:
        """Check the grid. Raises RecipeError."""
        if not self.kernels or set(self.kernels) - set(KERNELS):
            raise RecipeError(
                f"svm.kernels={list(self.kernels)} must be some of {', '.join(KERNELS)}"
            )
        if not self.costs or not self.gammas or min(*self.costs, *self.gammas, 1.0) <= 0:
            raise RecipeError("svm.costs and svm.gammas must be numbers above 0")
        if self.folds < 2:
            raise RecipeError(f"svm.folds={self.folds} must be at least 2")
        if self.most < 4:
            raise RecipeError(f"svm.most={self.most} must be at least 4")

    def points(self) -> list[SvmParameters]:
        """Return all combinations."""
        gammas = {kernel: (1.0,) if kernel == "linear" else self.gammas for kernel in self.kernels}
        return [
            SvmParameters(k, c, g)
            for k in self.kernels
            for g, c in itertools.product(gammas[k], self.costs)
        ]


@dataclass(frozen=True)
class SvmParameters:
    """One combination."""

    kernel: str
    cost: float
    gamma: float
    """Times one over the number of descriptors."""


@dataclass(frozen=True)
class Svm:
    """Standardisation, support vectors and the softmax over the decisions."""

    point: SvmParameters
    mean: Matrix
    scale: Matrix
    support: Matrix
    """(vectors, numbers), standardised."""
    weights: Matrix
    """(vectors, classes)"""
    offsets: Matrix
    """(classes,)"""
    sharpness: float = 1.0
    """Factor of the decisions before the softmax."""

    def decide(self, x: Matrix) -> Matrix:
        """Return the decisions (n, classes) on descriptors."""
        decided: Matrix = (
            kernel(self.point, (x - self.mean) / self.scale, self.support) @ self.weights
            + self.offsets
        )
        return decided

    def scores(self, x: Matrix) -> Matrix:
        """Return scores (n, classes) that add up to 1."""
        return softmax(self.sharpness * self.decide(x))


@dataclass(frozen=True)
class SearchResult:
    """The best combination, and the accuracy of each."""

    machine: Svm
    table: list[tuple[SvmParameters, float | None]]
    """Mean accuracy over the folds, best first; of pictures whose class the fold could learn.

    None where no fold could.
    """
    decisions: Matrix
    """(n, classes) on every picture, by a machine that never saw its fold; 0 in no fold."""


def kernel(point: SvmParameters, x: Matrix, y: Matrix) -> Matrix:
    """Return the kernel matrix (len(x), len(y)) of standardised descriptors."""
    gamma = np.float32(point.gamma / x.shape[1])
    products: Matrix = gamma * (x @ y.T)
    if point.kernel == "sigmoid":
        products = np.tanh(products)
    if point.kernel == "rbf":
        squares = gamma * np.einsum("ij,ij->i", x, x)[:, None] + gamma * np.einsum("ij,ij->i", y, y)
        products = np.exp(np.minimum(2 * products - squares, 0))
    return products


def softmax(values: Matrix) -> Matrix:
    """Return the softmax of each row."""
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Matrix = raised / raised.sum(axis=1, keepdims=True)
    return shares


def check_classes(labels: Labels, classes: Sequence[str]) -> None:
    """Check the number of classes and of their pictures. Raises MaterialError."""
    counts = np.bincount(labels, minlength=len(classes))
    if len(classes) < 2:
        raise MaterialError(f"one class only, {', '.join(classes)}: at least two are needed")
    if len(classes) > MAX_CLASSES:
        raise MaterialError(
            f"{len(classes):,} classes: at most {MAX_CLASSES:,}, for each needs its own machine; "
            "a network of timbre train cifar-10 or birds has no such limit"
        )
    if thin := [name for name, count in zip(classes, counts, strict=True) if count < 2]:
        raise MaterialError(
            f"a single picture, too few to train on: {some(thin)}; add pictures, or remove the "
            "folder"
        )


def check_count(count: int, grid: Grid) -> None:
    """Check that the pictures fit into memory. Raises MaterialError."""
    if count > grid.most:
        raise MaterialError(
            f"{count:,} training pictures take about {BYTES_PER_PAIR * count**2 / 1e9:.0f} GB of "
            f"memory, and svm.most is {grid.most:,}: give fewer pictures, or raise it"
        )


def search(
    x: Matrix,
    labels: Labels,
    sources: Sequence[str],
    grid: Grid,
    *,
    seed: int,
    progress: Progress,
    groups: Labels | None = None,
) -> SearchResult:
    """Return the machine with the best combination, fitted on all rows.

    x: (n, numbers). labels: 0 to classes - 1, each at least twice. sources, groups: of each row;
    neither a source nor a group, of near-duplicates, is ever on both sides of a fold.
    """
    points = grid.points()
    folds = make_folds(
        labels, sources, groups, count=grid.folds, most_sources=grid.most_sources, seed=seed
    )
    judged = learnt(labels, folds)
    total, rates, found = len(folds) * len(points) + 1, dict[SvmParameters, float](), x[:, :0]
    for number, point in enumerate(points):
        decisions = np.zeros((len(x), int(labels.max()) + 1), np.float32)
        for at, (train, test) in enumerate(folds):
            decisions[test] = fit(
                point, x[train], labels[train], classes=decisions.shape[1]
            ).decide(x[test])
            progress(number * len(folds) + at + 1, total)
        right = decisions.argmax(axis=1) == labels
        tested = [test[judged[test]] for _, test in folds if judged[test].any()]
        rate = float(np.mean([right[test].mean() for test in tested])) if tested else 0.0
        if rate > max(rates.values(), default=-1.0):
            found = decisions
        rates[point] = rate
    ranked = sorted(rates.items(), key=lambda item: -item[1])
    table = [(point, rate if judged.any() else None) for point, rate in ranked]
    machine = fit(table[0][0], x, labels, sharpness=_sharpness(found[judged], labels[judged]))
    progress(total, total)
    return SearchResult(machine, table, found)


def fit(
    point: SvmParameters, x: Matrix, labels: Labels, *, classes: int = 0, sharpness: float = 1.0
) -> Svm:
    """Return the machine of one combination. classes: where labels may lack the last ones."""
    mean, scale = _standard(x)
    standard = (x - mean) / scale
    weights, offsets = _fit(
        point, kernel(point, standard, standard), labels, classes or int(labels.max()) + 1
    )
    used = np.flatnonzero(weights.any(axis=1))
    return Svm(point, mean, scale, standard[used], weights[used], offsets, sharpness)


def _fit(point: SvmParameters, gram: Matrix, labels: Labels, classes: int) -> tuple[Matrix, Matrix]:
    """Return weights (n, classes) and offsets (classes,) of one machine for each class."""
    from sklearn.svm import SVC

    weights, offsets = np.zeros((len(gram), classes), np.float32), np.full(classes, -1, np.float32)
    wide = gram.astype(np.float64)
    for number in range(classes):
        here = labels == number
        if here.all() or not here.any():
            offsets[number] = 1 if here.all() else -1
            continue
        machine = SVC(C=point.cost, kernel="precomputed", cache_size=400).fit(wide, here)
        weights[machine.support_, number] = machine.dual_coef_[0]
        offsets[number] = machine.intercept_[0]
    return weights, offsets


def _standard(x: Matrix) -> tuple[Matrix, Matrix]:
    mean, scale = mean_and_scale(x, alike=True)
    # Kernels see what comes later as it is; an infinite scale is no number for every runtime.
    return mean.astype(np.float32), np.where(np.isinf(scale), 1, scale).astype(np.float32)


def _sharpness(decisions: Matrix, labels: Labels) -> float:
    """Return the factor that calibrates held-out decisions (temperature scaling)."""
    from scipy.optimize import minimize_scalar

    if not len(labels):
        return 1.0

    def loss(logarithm: float) -> float:
        scores = softmax(np.float32(np.exp(logarithm)) * decisions)
        return float(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 5), method="bounded").x))
