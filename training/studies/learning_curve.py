"""How many recordings: a forest on more and more of each label, evaluated on sources left out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from training.recordings.collection import CollectionError
from training.reporting.charts import SERIES
from training.studies.estimators import forest
from training.studies.importance import TREES, left_out, mean_average_precision
from training.studies.study import Sheet, Study

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from training.common.progress import Progress
    from training.evaluation.metrics import Mask
    from training.recordings.table import Rows, Table
    from training.studies.protocol import Options, Parts

DRAWS = 3
"""Choices of recordings for each number; a figure is their mean."""
LAST = 3
"""Numbers of recordings, the largest, that the gain of a doubling is taken from."""
Curve = dict[int, float]
"""mAP by recordings of each label."""


def run(table: Table, options: Options, progress: Progress) -> Study:
    """Return mAP by the number of recordings of each label, for each source left out.

    Raises CollectionError where no source can be left out, or no number doubled.
    """
    plans = left_out(table, options)
    curves: dict[str, Curve] = {}
    for done, (source, parts) in enumerate(plans.items(), 1):
        curves[source] = curve(table, parts, options)
        progress(done, len(plans))
    curves = {source: found for source, found in curves.items() if len(found) > 1}
    if not curves:
        raise CollectionError(
            f"{table.path}: a learning curve needs two sources, and in one of them a label with "
            "two recordings"
        )
    gains = {source: gain(found) for source, found in curves.items()}
    middle, low, high = _band(gains)
    return Study(
        "learning-curve",
        "How many recordings",
        f"A forest of {TREES} trees on the 26 features learns from some recordings of each label "
        f"and is evaluated on a source that it was not trained on: {', '.join(curves)}.",
        [
            Sheet(
                "mAP by recordings of each label",
                f"Mean of {DRAWS} choices of recordings. A label that has fewer gives all that it "
                "has; lowest and highest are those of the sources. First row: the same score for "
                "every window, which has the share of windows with the label.",
                ["recordings", "mean", "lowest", "highest", *curves],
                [_chance(table, plans, curves), *_rows(curves)],
            ),
            Sheet(
                "What twice as many would bring",
                f"By a straight line through the last {LAST} numbers of each source. Curves "
                f"flatten: it is an upper bound. {_trust(len(curves))}",
                ["", "mAP"],
                [["median", middle], ["lowest source", low], ["highest source", high]],
            ),
        ],
        [partial(_draw, curves=curves)],
        "A thin line for each source that the forest did not train on, the thick one their mean.",
        {"curves": curves, "gain_of_twice_as_many": gains},
    )


def curve(table: Table, parts: Parts, options: Options) -> Curve:
    """Return mAP on the test rows by recordings of each label: 1, 2, 4 ... up to all there are."""
    features, labels = table.tensors("features"), np.asarray(table.labels)
    truth, tested = labels[parts.test], np.asarray(features[parts.test])
    recordings = recordings_of(np.asarray(table.clips)[parts.train], labels[parts.train])
    most = max((len(found) for found in recordings.values()), default=0)
    found: Curve = {}
    for count in _counts(most):
        scores = []
        for draw in range(DRAWS):
            rng = np.random.default_rng([options.seed, count, draw])
            rows = chosen(table, parts.train, recordings, count, rng)
            learner = forest(seed=options.seed + draw, jobs=options.jobs, trees=TREES)
            learner.fit(np.asarray(features[rows]), labels[rows])
            scores.append(mean_average_precision(learner.scores(tested), truth))
        found[count] = float(np.mean(scores))
    return found


def _counts(most: int) -> list[int]:
    doubled = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*doubled, most] if most else []


def recordings_of(
    clips: npt.NDArray[np.integer[Any]], labels: Mask
) -> dict[int, npt.NDArray[np.integer[Any]]]:
    """Return the recordings (numbers of clips) that each label sounds in."""
    return {
        label: np.unique(clips[labels[:, label]])
        for label in range(labels.shape[1])
        if labels[:, label].any()
    }


def chosen(
    table: Table,
    rows: Rows,
    recordings: Mapping[int, npt.NDArray[np.integer[Any]]],
    count: int,
    rng: np.random.Generator,
) -> Rows:
    """Return the windows of so many recordings of each label, and of all without a label."""
    clips = np.asarray(table.clips)[rows]
    kept = np.concatenate([rng.permutation(found)[:count] for found in recordings.values()])
    labelled = np.unique(np.concatenate(list(recordings.values())))
    return rows[np.isin(clips, kept) | ~np.isin(clips, labelled)]


def gain(found: Curve) -> float:
    """Return how much mAP rises with each doubling, by least squares over the last numbers."""
    last = sorted(found)[-LAST:]
    slope, _ = np.polyfit(np.log2(last), [found[count] for count in last], 1)
    return float(slope)


def _band(gains: Mapping[str, float]) -> tuple[float, float, float]:
    values = np.array(list(gains.values()))
    return float(np.median(values)), float(values.min()), float(values.max())


def _trust(sources: int) -> str:
    return f"{sources} sources: the band says little." if sources < 4 else f"{sources} sources."


def _chance(table: Table, plans: Mapping[str, Parts], curves: Mapping[str, Curve]) -> list[Any]:
    """Return the row of the trivial baseline: one score for all windows."""
    labels = np.asarray(table.labels)
    values = [
        mean_average_precision(np.zeros(truth.shape, np.float32), truth)
        for truth in (labels[plans[source].test] for source in curves)
    ]
    return ["chance", float(np.mean(values)), min(values), max(values), *values]


def _rows(curves: Mapping[str, Curve]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for count in sorted({count for found in curves.values() for count in found}):
        values = [found.get(count) for found in curves.values()]
        known = [value for value in values if value is not None]
        rows.append([str(count), float(np.mean(known)), min(known), max(known), *values])
    return rows


def _draw(ax: Any, curves: Mapping[str, Curve]) -> None:
    for found in curves.values():
        ax.plot(list(found), list(found.values()), "-", color=SERIES[0], linewidth=1, alpha=0.35)
    rows = _rows(curves)
    ax.plot(
        [int(row[0]) for row in rows], [row[1] for row in rows], "o-", color=SERIES[0], linewidth=2
    )
    counts = sorted({count for found in curves.values() for count in found})
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(count) for count in counts])
    ax.minorticks_off()
    ax.set(title="mAP on sources not trained on", xlabel="recordings of each label")
    ax.set_ylim(bottom=0)
