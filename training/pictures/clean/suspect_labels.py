"""Suspect labels: those that a small classifier finds unlikely in cross-validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from features.config import PictureConfig
from training.pictures.dataset.split import assign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.config import Pixels
    from training.common.progress import Progress

SIDE = 32
CELLS = 4
ANGLES = 8
CONFIG = PictureConfig(height=SIDE, width=SIDE, fit="squash", resample="box")
"""How pictures are decoded for their descriptors."""
FOLDS = 5
LANDMARKS = 600
UNLIKELY = 0.1
"""Probability of a picture's own label below which it is suspect."""
MAX_SHARE = 0.05
"""Maximum share of suspect pictures; the least likely ones are kept."""
SHRINKAGE = 0.02
"""Of the covariance towards a multiple of the identity."""
MAX_TRAINED = 20_000
"""Maximum of pictures to train one model on."""
SCORES = 4_000_000
"""Scores computed at a time."""


class SuspectLabel(NamedTuple):
    """A picture whose label is unlikely."""

    row: int
    suggested: int
    """The most likely label."""
    given: float
    """Probability of its own label."""


class SuspectLabels(NamedTuple):
    """The suspect pictures, and the accuracy of the models."""

    found: list[SuspectLabel]
    accuracy: float | None
    """Share of held-out pictures whose label is predicted; None without cross-validation."""


def describe(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return a descriptor (320,) of a picture (32, 32, 3): edges in 16 cells, colours in 64.

    Histograms of oriented gradients (N. Dalal, B. Triggs, 2005) with the square root of all shares.
    """
    grey = pixels.astype(np.float32).mean(axis=2)
    down, right = np.gradient(grey)
    direction = (np.arctan2(down, right) % np.pi * (ANGLES / np.pi)).astype(int) % ANGLES
    step = np.arange(SIDE) // (SIDE // CELLS)
    cell = step[:, None] * CELLS + step
    edges = np.bincount(
        (cell * ANGLES + direction).ravel(), np.hypot(down, right).ravel(), CELLS * CELLS * ANGLES
    )
    side = SIDE // 4
    colours = pixels.reshape(side, 4, side, 4, 3).mean(axis=(1, 3)).ravel() / 255
    return np.concatenate([np.sqrt(edges / max(float(edges.sum()), 1e-6)), colours]).astype(
        np.float32
    )


def find_suspect_labels(
    described: npt.NDArray[np.float32],
    labels: Sequence[str],
    group: npt.NDArray[np.int64],
    *,
    seed: int = 1,
    progress: Progress,
) -> SuspectLabels:
    """Return the pictures whose label is unlikely, the least likely first.

    described: (n, 320). group: of each picture; a group is never both trained on and scored.
    `suggested` is an index of the sorted labels. Without a result when the models are no more
    accurate than the share of the largest class.
    """
    names = {name: i for i, name in enumerate(sorted(set(labels)))}
    label = np.array([names[name] for name in labels])
    if len(names) < 2 or len(label) < FOLDS * 2:
        return SuspectLabels([], None)
    fold = assign(labels, group, [1 / FOLDS] * FOLDS, seed=seed)
    given, suggested, rng = (
        np.ones(len(label)),
        np.full(len(label), -1),
        np.random.default_rng(seed),
    )
    for number in range(FOLDS):
        train, held_out = (
            rng.permutation(np.flatnonzero(fold != number))[:MAX_TRAINED],
            np.flatnonzero(fold == number),
        )
        if len(held_out) and len(np.unique(label[train])) > 1:
            given[held_out], suggested[held_out] = _predict(described, label, train, held_out, seed)
        progress(number + 1, FOLDS)
    found = np.flatnonzero((suggested != label) & (suggested >= 0) & (given < UNLIKELY))
    ranked = found[np.argsort(given[found], kind="stable")][: max(1, round(MAX_SHARE * len(label)))]
    right, largest = suggested == label, np.bincount(label).max()
    believed = ranked if right.sum() > largest else ranked[:0]
    return SuspectLabels(
        [SuspectLabel(int(row), int(suggested[row]), float(given[row])) for row in believed],
        float(right.mean()),
    )


def _predict(
    described: npt.NDArray[np.float32],
    label: npt.NDArray[np.int64],
    train: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    seed: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the probability of each own label, 1 if it was not trained on, and the best label."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    marks = Nystroem(
        gamma=0.5 / described.shape[1], n_components=min(LANDMARKS, len(train)), random_state=seed
    )
    mapped = make_pipeline(StandardScaler(), marks).fit(described[train])
    classes, known = np.unique(label[train], return_inverse=True)
    weights, offsets = _discriminant(mapped.transform(described[train]), known)
    given, best = np.ones(len(held_out)), np.zeros(len(held_out), np.int64)
    rows = max(1, SCORES // max(len(classes), LANDMARKS))
    for first in range(0, len(held_out), rows):
        part = slice(first, first + rows)
        scores, own = (
            mapped.transform(described[held_out[part]]) @ weights + offsets,
            label[held_out[part]],
        )
        best[part] = classes[scores.argmax(axis=1)]
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        column = np.searchsorted(classes, own).clip(max=len(classes) - 1)
        seen = classes[column] == own
        given[part] = np.where(seen, likely[np.arange(len(own)), column] / likely.sum(axis=1), 1.0)
    return given, best


def _discriminant(
    mapped: npt.NDArray[np.float64], known: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return weights (d, classes) and offsets of a linear discriminant analysis with shrinkage."""
    counts = np.bincount(known)
    means = np.zeros((len(counts), mapped.shape[1]))
    np.add.at(means, known, mapped)
    means /= counts[:, None]
    within = mapped - means[known]
    covariance = within.T @ within / len(known)
    level = np.trace(covariance) / len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * max(level, 1e-9) * np.eye(
        len(covariance)
    )
    weights = np.linalg.solve(covariance, means.T)
    return weights, np.log(counts / len(known)) - 0.5 * (means.T * weights).sum(axis=0)
