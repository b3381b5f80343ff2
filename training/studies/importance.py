"""Permutation importance of groups of features, in mAP of a forest."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from features.extract import FEATURE_NAMES
from training.evaluation.metrics import average_precision
from training.reporting.charts import SERIES
from training.studies.estimators import forest
from training.studies.protocol import LEAKY, Parts, honest, leaky
from training.studies.study import Sheet, Study

if TYPE_CHECKING:
    from training.common.progress import Progress
    from training.evaluation.metrics import Mask, Scores
    from training.recordings.table import Table
    from training.studies.protocol import Options

GROUPS = {name: [FEATURE_NAMES.index(name)] for name in FEATURE_NAMES[:6]} | {
    "mfcc": list(range(6, 26))
}
REPEATS = 5
SOURCES = 8
"""Sources that are left out in turn, the largest first."""
TREES = 100


def run(table: Table, options: Options, progress: Progress) -> Study:
    """Return the fall of mAP by group: test part, leaky protocol, each source left out."""
    plans = {"test part": honest(table, options), f"test part ({LEAKY})": leaky(table, options)}
    plans |= {f"without {source}": parts for source, parts in left_out(table, options).items()}
    falls, whole = {}, {}
    for number, (name, parts) in enumerate(plans.items()):
        whole[name], falls[name] = importance(table, parts, options)
        progress(number + 1, len(plans))
    rows: list[list[Any]] = [["nothing (mAP)", *whole.values()]]
    rows += [[group, *(fall[group][0] for fall in falls.values())] for group in GROUPS]
    spread = max(deviation for fall in falls.values() for _, deviation in fall.values())
    note = (
        f"First row: mean average precision of a forest of {TREES} trees on all 26 features. "
        f"Below: its fall when the features of a group are shuffled together over the test "
        f"windows, mean of {REPEATS} shuffles (standard deviation at most {spread:.3f}). "
        f"Correlated groups hide each other's importance."
    )
    return Study(
        "importance",
        "Which features matter",
        f"{len(table.sources)} sources; the forest trains on at most {options.rows} windows of "
        f"other sources.",
        [Sheet("Fall of mAP by group", note, ["shuffled", *plans], rows)],
        [partial(_draw, falls=falls)],
        "A dot for each source that the forest did not train on, the bar their mean.",
        {
            "map": whole,
            "falls": {
                name: {g: list(pair) for g, pair in fall.items()} for name, fall in falls.items()
            },
        },
    )


def left_out(table: Table, options: Options) -> dict[str, Parts]:
    """Return by source, the largest first: all others' windows to train, its own to evaluate.

    Sources without any label, such as noise, do not evaluate; mixtures of several ("a+b") evaluate
    none of these and do not train when one of these is left out. A source that has each of its
    labels in all of its windows tells nothing of scores; where all are so, as in LABEL/file,
    several are left out together.
    """
    groups, copies = np.asarray(table.groups), np.asarray(table.copies)
    labels, originals = np.asarray(table.labels), np.flatnonzero(copies == 0)
    sizes = np.bincount(groups[originals], minlength=len(table.sources))
    labelled = set(groups[originals[labels[originals].any(axis=1)]].tolist())
    chosen = [
        s
        for s in np.argsort(-sizes, kind="stable").tolist()
        if s in labelled and "+" not in table.sources[s]
    ]
    of = {s: labels[originals[groups[originals] == s]] for s in chosen}
    telling = [s for s in chosen if (of[s].any(axis=0) & ~of[s].all(axis=0)).any()]
    plans = {table.sources[s]: [s] for s in telling[:SOURCES]}
    found = {}
    for name, sources in (plans or _dealt({s: of[s].any(axis=0) for s in chosen})).items():
        rng = np.random.default_rng([options.seed, *sources])
        names = {table.sources[source] for source in sources}
        related = [
            number
            for number, other in enumerate(table.sources)
            if names & {other, *other.split("+")}
        ]
        others, own = (
            np.flatnonzero(~np.isin(groups, related)),
            originals[np.isin(groups[originals], sources)],
        )
        if len(others):
            train = np.sort(rng.permutation(others)[: options.rows])
            found[name] = Parts(train, own[:0], np.sort(rng.permutation(own)[: options.rows]))
    return found


def _dealt(has: dict[int, Mask]) -> dict[str, list[int]]:
    """Return sources in up to SOURCES groups, each with every label that has enough of them.

    has: by source its labels, (labels,). Without two labels of two sources there is no group.
    """
    counts = np.sum(list(has.values()), axis=0) if has else np.zeros(0, int)
    several = counts[counts > 1]
    if len(several) < 2:
        return {}
    count = min(SOURCES, int(several.min()))
    held: list[list[int]] = [[] for _ in range(count)]
    for at, source in enumerate(sorted(has, key=lambda source: int(has[source].argmax()))):
        held[at % count].append(source)
    return {f"group {at} of {len(some)} sources": some for at, some in enumerate(held, 1)}


def importance(
    table: Table, parts: Parts, options: Options
) -> tuple[float, dict[str, tuple[float, float]]]:
    """Return mAP with all features, and the mean fall and its deviation by shuffled group."""
    features, labels = table.tensors("features"), np.asarray(table.labels)
    learner = forest(seed=options.seed, jobs=options.jobs, trees=TREES)
    learner.fit(np.asarray(features[parts.train]), labels[parts.train])
    rows, truth = np.array(features[parts.test]), labels[parts.test]
    whole = mean_average_precision(learner.scores(rows), truth)
    rng = np.random.default_rng(options.seed)
    falls = {}
    for group, columns in GROUPS.items():
        drops = []
        for _ in range(REPEATS):
            shuffled = rows.copy()
            shuffled[:, columns] = rows[rng.permutation(len(rows))][:, columns]
            drops.append(whole - mean_average_precision(learner.scores(shuffled), truth))
        falls[group] = float(np.mean(drops)), float(np.std(drops))
    return whole, falls


def mean_average_precision(scores: Scores, truth: Mask) -> float:
    """Return mAP over the labels that some windows have and some have not, 0 if there is none."""
    each = [average_precision(scores[:, i], truth[:, i]) for i in range(truth.shape[1])]
    known = [value for value in each if value is not None]
    return float(np.mean(known)) if known else 0.0


def _draw(ax: Any, falls: dict[str, dict[str, tuple[float, float]]]) -> None:
    sources = {name: fall for name, fall in falls.items() if name.startswith("without ")}
    shown = list(sources.values()) or [falls["test part"]]
    means = {group: float(np.mean([fall[group][0] for fall in shown])) for group in GROUPS}
    order = sorted(means, key=lambda group: means[group])
    at = range(len(order))
    ax.barh(at, [means[group] for group in order], color=SERIES[0], alpha=0.35, height=0.55)
    for fall in shown:
        ax.plot([fall[group][0] for group in order], at, "o", color=SERIES[0], markersize=5)
    ax.set_yticks(at, order)
    ax.set(title="Fall of mAP", xlabel="mAP lost")
    ax.grid(visible=False, axis="y")
