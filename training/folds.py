"""Leave one source out: every source is judged by a model, and by thresholds, that never met it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from training.evaluate import Metrics, measure
from training.thresholds import calibrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluate import Mask, Scores
    from training.windows import WindowSet

NOISE = "noise-"
"""Sources whose names begin so are families of noise: other draws of them train and judge."""


class Fitted(Protocol):
    """A trained model of either kind."""

    def scores(self, tensors: npt.NDArray[Any]) -> Scores:
        """Return scores (n, labels) of tensors (n, *shape)."""

    def onnx(self) -> bytes:
        """Return the model as an ONNX graph."""


@dataclass(frozen=True)
class Judged:
    """Scores of windows by a model that did not train on `source`."""

    source: str
    scores: Scores
    labels: Mask
    kind: npt.NDArray[np.str_]

    @property
    def sources(self) -> npt.NDArray[np.str_]:
        """The source once per window."""
        return np.full(len(self.labels), self.source)


def sources_of(windows: WindowSet) -> list[str]:
    """Return the sources of instruments, noise families left out."""
    return [source for source in windows.sources if not source.startswith(NOISE)]


def splits(train: WindowSet, *, excluded: Sequence[str] = ()) -> dict[str, npt.NDArray[np.int64]]:
    """Return by source the rows of all others; `excluded` ones are nowhere. Empty when fewer than two are left."""
    sources = [source for source in sources_of(train) if source not in excluded]
    if len(sources) < 2:
        return {}
    return {source: np.flatnonzero(train.held_out(source, *excluded)[0]) for source in sources}


def leave_one_out(models: dict[str, Fitted], test: WindowSet, tensors: npt.NDArray[Any]) -> list[Judged]:
    """Return what each model says of the source it was trained without, and of all noises."""
    noises = [source for source in test.sources if source.startswith(NOISE)]
    return [judge(model, test, tensors, out, test.held_out(out, *noises)[1]) for out, model in models.items()]


def judge(model: Fitted, test: WindowSet, tensors: npt.NDArray[Any], source: str, chosen: Mask) -> Judged:
    """Return the model's scores of the chosen test windows."""
    rows = np.flatnonzero(chosen)
    return Judged(source, model.scores(tensors[rows]), test.labels[rows], test.kind[rows])


def thresholds(judged: Sequence[Judged], *, quiet: float) -> npt.NDArray[np.float32]:
    """Return thresholds calibrated on everything judged."""
    return calibrate(
        np.concatenate([j.scores for j in judged]),
        np.concatenate([j.labels for j in judged]),
        source=np.concatenate([j.sources for j in judged]),
        kind=np.concatenate([j.kind for j in judged]),
        quiet=quiet,
    )


def measure_each(judged: Sequence[Judged], names: Sequence[str], *, quiet: float) -> dict[str, Metrics]:
    """Return the metrics per source, each with thresholds from all the other sources."""
    metrics = {}
    for one in judged:
        others = [other for other in judged if other is not one] or [one]
        limits = thresholds(others, quiet=quiet)
        metrics[one.source] = measure(one.scores, one.labels, one.kind, thresholds=limits, names=names)
    return metrics


def mean(metrics: dict[str, Metrics]) -> Metrics:
    """Return the plain mean over the sources of every figure that is one number."""
    figures = [key for key, value in next(iter(metrics.values())).items() if isinstance(value, float)]
    known = {key: [m[key] for m in metrics.values() if m[key] is not None] for key in figures}
    return {key: float(np.mean(values)) for key, values in known.items()}
