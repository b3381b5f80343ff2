"""How long a window: one forest per length, on the same recordings, split by source and leaky."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.paths import cache_root
from training.common.recipe import RecipeError
from training.recordings.build import build
from training.recordings.extract import Settings
from training.recordings.given_split import split_of
from training.recordings.load import load as load_collection
from training.reporting.charts import MUTED, PAPER, SERIES
from training.studies.estimators import COMPONENTS, Prepared, forest
from training.studies.protocol import LEAKY, choose, honest, leaky, measure
from training.studies.study import KEYS, Sheet, Study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.common.progress import Progress, Stage
    from training.evaluation.metrics import Metrics
    from training.recordings.collection import Collection
    from training.recordings.settings import SoundsRecipe
    from training.recordings.split import Split
    from training.recordings.table import Table
    from training.reporting.charts import Draw
    from training.studies.protocol import Options, Parts

CHOSEN = 2.0
MOST_TICKS = 12
NAMES = ("accuracy", "micro-F1", "macro-F1", "mAP")
FIGURES = {
    "macro-F1": "macro_f1",
    "mAP": "mean_average_precision",
    "accuracy": "accuracy",
}


def lengths_of(text: str) -> list[float]:
    """Return lengths in seconds out of `1,2,4.5`. Raises RecipeError for anything else."""
    try:
        return sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise RecipeError(f"lengths={text!r} must be seconds such as 1,2,4.5") from error


def run(recipe: SoundsRecipe, lengths: Sequence[float], options: Options, stage: Stage) -> Study:
    """Return the scores of a forest by length of the window, all with the recipe's hop."""
    found = {}
    with stage("list the collection") as progress:
        collection = load_collection(recipe.collection, progress)
        split = split_of(collection, recipe)
    for length in lengths:
        with stage(f"windows of {length:g} s") as progress:
            table = _table(recipe, collection, split, length, progress)
        with stage(f"forests on {length:g} s"):
            parts = {"honest": honest(table, options), LEAKY: leaky(table, options)}
            found[length] = {name: _evaluate(table, some, options) for name, some in parts.items()}
    return Study(
        "windows",
        "How long a window",
        f"{len(found)} lengths, tested on the same recordings, whose sources are not in training.",
        [_sheet(recipe, found)],
        _plots(found),
        "The two have different test windows.",
        {f"{length:g}": one for length, one in found.items()},
        KEYS,
    )


def _sheet(recipe: SoundsRecipe, found: dict[float, dict[str, Any]]) -> Sheet:
    keys = ("accuracy", "micro_f1", "macro_f1", "mean_average_precision")
    rows = []
    for length, one in found.items():
        fair, easy = ([one[name][key] for key in keys] for name in ("honest", LEAKY))
        rows.append(
            [
                f"{length:g}",
                one["honest"]["windows"],
                *fair,
                one["honest"]["accuracy_all_negative"],
                *easy,
            ]
        )
        rows[-1].append(one[LEAKY]["accuracy_all_negative"])
    note = (
        f"A forest on {COMPONENTS} components. A label is on when it sounds "
        f"in {recipe.windows.share:g} of the window; clips shorter than a window are padded with "
        f"zeros. The dashed line is at {CHOSEN:g} s, which Timbre's recipes have."
    )
    head = [
        "window, s",
        "windows",
        *NAMES,
        "all negative",
        *(f"{name} ({LEAKY})" for name in (*NAMES, "all negative")),
    ]
    return Sheet("Scores by length", note, head, rows)


def _table(
    recipe: SoundsRecipe,
    collection: Collection,
    split: Split,
    length: float,
    progress: Progress,
) -> Table:
    windows = replace(recipe.windows, length=length, shortest=min(recipe.windows.shortest, length))
    settings = Settings.of(replace(recipe, windows=windows), ("features",))
    cache = cache_root(recipe.cache)
    path = cache / "studies" / f"windows-{length:g}"
    return build(
        collection, split, settings, path, cache=cache / "rows", jobs=recipe.jobs, progress=progress
    )[0]


def _evaluate(table: Table, parts: Parts, options: Options) -> Metrics:
    features, labels = table.tensors("features"), np.asarray(table.labels)
    learner = Prepared(forest(seed=options.seed, jobs=options.jobs), COMPONENTS)
    learner.fit(np.asarray(features[parts.train]), labels[parts.train])
    predicted = [learner.scores(np.asarray(features[rows])) for rows in (parts.valid, parts.test)]
    limits = choose(predicted[0], labels[parts.valid], np.asarray(table.groups[parts.valid]))
    return measure(predicted[1], labels[parts.test], thresholds=limits, names=table.names)


def _plots(found: dict[float, dict[str, Any]]) -> list[Draw]:
    lengths = list(found)

    def draw(ax: Any, title: str, key: str) -> None:
        for name, style in ((LEAKY, {"markerfacecolor": PAPER, "color": SERIES[1]}),
                            ("honest", {"color": SERIES[0]})):  # fmt: skip
            ax.plot(lengths, [found[at][name][key] or 0.0 for at in lengths], "o-", **style)
        ax.axvline(CHOSEN, color=MUTED, linestyle="--", linewidth=1, zorder=0)
        ax.set(title=title, xlabel="window, s", ylim=(-0.02, 1.03))
        if len(lengths) <= MOST_TICKS:
            ax.set_xticks(lengths, [f"{length:g}" for length in lengths])

    return [partial(draw, title=title, key=key) for title, key in FIGURES.items()]
