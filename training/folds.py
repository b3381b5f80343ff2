"""Leave one source out: every source is judged by a model, and by thresholds, that never met it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

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


Fit: TypeAlias = Callable[[str, npt.NDArray[np.int64]], Fitted]
"""Trains on these rows of the training windows; the text is for people who watch."""


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


def leave_one_out(
    train: WindowSet,
    test: WindowSet,
    tensors: npt.NDArray[Any],
    fit: Fit,
    *,
    excluded: Sequence[str] = (),
) -> list[Judged]:
    """Return one Judged per source of `train`, `excluded` (never trained on) aside; tensors are those of `test`."""
    noises = [source for source in test.sources if source.startswith(NOISE)]
    judged = []
    for source in sources_of(train):
        if source not in excluded:
            rows = np.flatnonzero(train.held_out(source, *excluded)[0])
            chosen = test.held_out(source, *noises)[1]
            judged.append(judge(fit(f"without {source}", rows), test, tensors, source, chosen))
    return judged


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
