"""Leave one source out: each source is evaluated by a model and thresholds of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from features.config import DEFAULT, AudioConfig
from training.evaluation.metrics import Metrics, average_precision, measure
from training.evaluation.thresholds import calibrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation.metrics import Mask, Scores

HeldOut: TypeAlias = tuple[npt.NDArray[Any], "Mask"]
"""Tensors and labels of held-out windows."""
HistoryEntry: TypeAlias = dict[str, float]
"""The state of a training: `loss` or `trees`, and `held_out_loss` and `held_out_map` on held-out
windows."""
MOST_HELD_OUT = 400
AMONG_LABELS = ("macro_f1", "macro_f1_all_on", "top1_majority")
"""Figures that say nothing of a source with one label: no window of it is a false positive."""
NOISE = "noise-"
"""Sources whose names begin so are families of noise: other draws of them train than evaluate."""


class Fitted(Protocol):
    """A trained model of either kind."""

    @property
    def history(self) -> list[HistoryEntry]:
        """The course of the training."""

    def scores(self, tensors: npt.NDArray[Any]) -> Scores:
        """Return scores (n, labels) of tensors (n, *shape)."""

    def onnx(self, config: AudioConfig = DEFAULT) -> bytes:
        """Return the model as an ONNX graph that takes the tensors of this configuration."""


class LabelledSet(Protocol):
    """Windows with their labels and sources."""

    @property
    def labels(self) -> Mask:
        """(windows, labels)."""

    @property
    def kind(self) -> npt.NDArray[np.str_]:
        """(windows,), such as note, mix or noise."""

    @property
    def sources(self) -> list[str]:
        """The sources of windows that have only one, noise families included."""

    def held_out(self, *sources: str) -> tuple[Mask, Mask]:
        """Return masks (train, test): windows without these sources, windows of these alone."""


@dataclass(frozen=True)
class SourceScores:
    """Scores of windows by a model that did not train on `source`."""

    source: str
    scores: Scores
    labels: Mask
    kind: npt.NDArray[np.str_]
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of the windows in the test set."""
    groups: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """The sources by number, where one model scored all of them: figures are then of all of their
    windows together."""

    @property
    def sources(self) -> npt.NDArray[np.str_]:
        """The source once per window."""
        return np.full(len(self.labels), self.source)


def sources_of(windows: LabelledSet) -> list[str]:
    """Return the sources of instruments, noise families left out."""
    return [source for source in windows.sources if not source.startswith(NOISE)]


def splits(train: LabelledSet, *, excluded: Sequence[str] = ()) -> dict[str, npt.NDArray[np.int64]]:
    """Return by source the rows of all others but `excluded` ones; empty below two sources."""
    sources = [source for source in sources_of(train) if source not in excluded]
    if len(sources) < 2:
        return {}
    return {source: np.flatnonzero(train.held_out(source, *excluded)[0]) for source in sources}


def leave_one_out(
    models: dict[str, Fitted], test: LabelledSet, tensors: npt.NDArray[Any]
) -> list[SourceScores]:
    """Return each model's scores of the source it was trained without, and of all noises."""
    noises = [source for source in test.sources if source.startswith(NOISE)]
    return [
        evaluate(model, test, tensors, out, test.held_out(out, *noises)[1])
        for out, model in models.items()
    ]


def evaluate(
    model: Fitted, test: LabelledSet, tensors: npt.NDArray[Any], source: str, chosen: Mask
) -> SourceScores:
    """Return the model's scores of the chosen test windows of a source."""
    rows = np.flatnonzero(chosen)
    return SourceScores(
        source, model.scores(tensors[rows]), test.labels[rows], test.kind[rows], rows
    )


def held_out_metrics(scores: Scores, labels: Mask) -> HistoryEntry:
    """Return mean cross-entropy and mean average precision of held-out windows."""
    right = np.where(labels, scores, 1 - scores)
    precision = [
        average_precision(scores[:, i], labels[:, i]) for i in np.flatnonzero(labels.any(axis=0))
    ]
    known = [value for value in precision if value is not None]
    loss = float(-np.log(np.maximum(right, 1e-6)).mean())
    return {"held_out_loss": loss, "held_out_map": float(np.mean(known)) if known else 0.0}


def spread(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return up to 400 rows, spread over all of them: the first are often of one label."""
    chosen: npt.NDArray[np.int64] = rows[:: -(-len(rows) // MOST_HELD_OUT) or 1]
    return chosen


def held_out_windows(test: LabelledSet, tensors: npt.NDArray[Any], source: str) -> HeldOut:
    """Return up to 400 test windows of a source, spread over all of them."""
    rows = spread(np.flatnonzero(test.held_out(source)[1]))
    return tensors[rows], test.labels[rows]


def together(evaluated: Sequence[SourceScores], name: str = "") -> SourceScores:
    """Return the scores of at least one source as those of one."""
    scores, labels, kind, rows, groups = (
        np.concatenate([getattr(one, what) for one in evaluated])
        for what in ("scores", "labels", "kind", "rows", "groups")
    )
    return SourceScores(name, scores, labels, kind, rows, groups)


def thresholds(
    evaluated: Sequence[SourceScores],
    *,
    quiet: float,
    beta: float = 1.0,
    mixtures: float = 0.0,
    least: Sequence[float] = (),
) -> npt.NDArray[np.float32]:
    """Return thresholds calibrated on everything evaluated, none lower than in `least`."""
    found = calibrate(
        np.concatenate([j.scores for j in evaluated]),
        np.concatenate([j.labels for j in evaluated]),
        source=np.concatenate([j.sources for j in evaluated]),
        kind=np.concatenate([j.kind for j in evaluated]),
        quiet=quiet,
        beta=beta,
        mixtures=mixtures,
    )
    return np.maximum(found, least, dtype=np.float32) if least else found


def measure_each(
    evaluated: Sequence[SourceScores],
    names: Sequence[str],
    *,
    quiet: float,
    beta: float = 1.0,
    mixtures: float = 0.0,
    least: Sequence[float] = (),
) -> dict[str, Metrics]:
    """Return the metrics per source, each with thresholds from all the other sources."""
    metrics = {}
    for scored in evaluated:
        others = [other for other in evaluated if other is not scored] or [scored]
        limits = thresholds(others, quiet=quiet, beta=beta, mixtures=mixtures, least=least)
        metrics[scored.source] = measure(
            scored.scores, scored.labels, scored.kind, thresholds=limits, names=names
        )
    return metrics


def mean(metrics: dict[str, Metrics]) -> Metrics:
    """Return the plain mean over the sources of every figure that is one number.

    A source of one label does not count in AMONG_LABELS.
    """
    # A source of noise alone has few figures.
    figures = dict.fromkeys(
        key
        for found in metrics.values()
        for key, value in found.items()
        if isinstance(value, float)
    )
    known = {
        key: [
            found[key]
            for found in metrics.values()
            if found[key] is not None and not (key in AMONG_LABELS and _labels(found) == 1)
        ]
        for key in figures
    }
    return {key: float(np.mean(values)) for key, values in known.items() if values}


def _labels(metrics: Metrics) -> int:
    """Return how many labels the windows of a source have; 0 where that is not known."""
    return sum(count > 0 for count in metrics.get("support", {}).values())
