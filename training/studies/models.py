"""Compares models: the original work's eight and six more, honest and leaky."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.recordings.collection import CollectionError
from training.recordings.split import PARTS
from training.reporting.charts import MUTED, PAPER, SERIES, Key, short
from training.studies import estimators
from training.studies.probe import probe
from training.studies.protocol import LEAKY, choose, honest, leaky, measure
from training.studies.study import KEYS, Sheet, Study, is_original

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.config import Kind
    from training.common.progress import Progress
    from training.recordings.table import Table
    from training.reporting.charts import Draw
    from training.studies.estimators import Learner
    from training.studies.protocol import Options, Parts

ORIGINAL_RESULTS = {
    "RandomForestClassifier": (0.9981, 0.9572, 0.9490, 0.79),
    "LogisticRegression": (0.9218, 0.9236, 0.9072, 1.86),
    "DecisionTreeClassifier": (1.0, 0.9254, 0.9145, 1.15),
    "DummyClassifier": (0.8554, 0.8563, 0.8154, 3.1),
    "KNeighborsClassifier": (0.9663, 0.9672, 0.96, 2.3),
    "GaussianNB": (0.9063, 0.9081, 0.89, 1.82),
    "neural network, 122,000 parameters": (0.9036, 0.9027, 0.9009, 0.06),
    "experimental neural network": (0.7863, 0.7872, 0.8009, 0.32),
}
"""Accuracy on train, valid, test and seconds for the whole test set, as the original work published
them."""
NAME = 24
"""Characters of a model's name beside the plots."""
EPOCHS = {"dense": 30, "log_mel": 8}
LIBRARIES = (
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "sklearn.decomposition",
    "lightgbm",
)
TORCH = ("sklearn.decomposition", "training.sound_models.dense")
LOG_MEL = ("training.studies.log_mel",)


class ModelSpec(NamedTuple):
    """A model to compare; `make` gives a fresh one."""

    name: str
    takes: str
    kind: Kind
    make: Callable[[], Learner]
    modules: tuple[str, ...]


def model_specs(table: Table, options: Options) -> list[ModelSpec]:
    """Return all that the table has tensors for, the original work's in their order first."""
    from training.sound_models import dense
    from training.studies.log_mel import LogMel

    chance = {"seed": options.seed, "jobs": options.jobs}
    epochs = options.epochs or EPOCHS["dense"]
    networks = [
        ModelSpec(
            name, "26 features", "features", partial(_network, name, options.seed, epochs), TORCH
        )
        for name in dense.SHAPES
    ]
    classic, recent = (
        [
            ModelSpec(name, takes, "features", partial(_one_of, makers, name, **chance), LIBRARIES)
            for name in makers(**chance)
        ]
        for takes, makers in (
            ("16 components", estimators.original_models),
            ("26 features", estimators.recent_models),
        )
    )
    found = [*classic, *networks[:2], *recent, *networks[2:]]
    if table.log_mel is not None:
        make = partial(LogMel, options.seed, options.epochs or EPOCHS["log_mel"])
        found.append(ModelSpec("network on log-mel", "log-mel", "log_mel", make, LOG_MEL))
    return found


def _one_of(makers: Callable[..., dict[str, Learner]], name: str, **chance: int) -> Learner:
    return makers(**chance)[name]


def _network(name: str, seed: int, epochs: int) -> Learner:
    from training.sound_models.dense import Dense

    return estimators.Prepared(Dense(name, seed, epochs))


def run(table: Table, options: Options, progress: Progress) -> Study:
    """Return the comparison. `progress(done, total)` counts trainings."""
    field = [
        one for one in model_specs(table, options) if not options.only or one.name in options.only
    ]
    if not field:
        names = ", ".join(one.name for one in model_specs(table, options))
        raise CollectionError(f"only={', '.join(options.only)} has no such model; there is {names}")
    protocols = {"honest": honest(table, options), LEAKY: leaky(table, options)}
    original = is_original(table)
    results: dict[str, dict[str, Any]] = {}
    for one in field:
        results[one.name] = {"takes": one.takes, "work_a": None}
        if original:
            results[one.name]["work_a"] = ORIGINAL_RESULTS.get(one.name)
        for protocol, parts in protocols.items():
            results[one.name][protocol] = evaluate(one, table, parts, costs=protocol == "honest")
            progress(2 * (len(results) - 1) + (protocol == LEAKY) + 1, 2 * len(field))
    return Study(
        "models",
        "Which model",
        _about(table, protocols["honest"], results),
        [
            _accuracy(results, original=original),
            _quality(results),
            _costs(results, original=original),
        ],
        _plots(results),
        "The two have different test windows; a model that can memorise its windows gains most.",
        {
            "models": results,
            "parts": {
                name: len(rows) for name, rows in zip(PARTS, protocols["honest"], strict=True)
            },
        },
        [*KEYS, Key("predicts no label", 6, "dashed")],
        height=1.0 + 0.27 * len(results),
    )


def evaluate(one: ModelSpec, table: Table, parts: Parts, *, costs: bool) -> dict[str, Any]:
    """Return the metrics of a model on every part, its times and, if `costs`, its costs."""
    tensors, learner = table.tensors(one.kind), one.make()
    rows = {name: np.asarray(tensors[some]) for name, some in zip(PARTS, parts, strict=True)}
    labels = {name: np.asarray(table.labels[some]) for name, some in zip(PARTS, parts, strict=True)}
    from threadpoolctl import threadpool_limits

    start = time.perf_counter()
    # One thread, but for forests, which take `jobs`: pools of several libraries would fight for the
    # cores.
    with threadpool_limits(1):
        learner.fit(rows["train"], labels["train"])
    fit_s = time.perf_counter() - start
    start = time.perf_counter()
    scores = {"test": learner.scores(rows["test"])}
    test_s = time.perf_counter() - start
    scores |= {name: learner.scores(rows[name]) for name in ("train", "valid")}
    limits = choose(scores["valid"], labels["valid"], np.asarray(table.groups[parts.valid]))
    found: dict[str, Any] = {
        name: measure(scores[name], labels[name], thresholds=limits, names=table.names)
        for name in PARTS
    }
    found |= {"fit_s": fit_s, "test_s": test_s}
    return found | (probe(learner, rows["test"][:1], one.modules) if costs else {})


def _about(table: Table, parts: Parts, results: dict[str, Any]) -> str:
    first = next(iter(results.values()))["honest"]["test"]
    length = f"{table.about['window_s']:g} s"
    return (
        f"{len(parts.train)} windows of {length} to train, {len(parts.valid)} to choose "
        f"thresholds, "
        f"{len(parts.test)} to evaluate, from {len(table.sources)} sources, none in two parts; "
        f"{len(table.names)} labels. A model that predicts no label has an element-wise accuracy "
        f"of {first['accuracy_all_negative']:.4f} on the test part. Columns marked {LEAKY} follow "
        "the protocol of many published figures: windows shuffled, copies made before the split."
    )


def _accuracy(results: dict[str, Any], *, original: bool) -> Sheet:
    rows: list[list[Any]] = []
    blank = [None] * 3 if original else []
    for name, one in results.items():
        published = one["work_a"][:3] if one["work_a"] else blank
        ours = [one[protocol][part]["accuracy"] for protocol in ("honest", LEAKY) for part in PARTS]
        rows.append([name, one["takes"], *ours, *published])
    nothing = [
        next(iter(results.values()))[p][part]["accuracy_all_negative"]
        for p in ("honest", LEAKY)
        for part in PARTS
    ]
    rows.append(["predicts no label", "", *nothing, *blank])
    head = [
        "model",
        "takes",
        *PARTS,
        *(f"{part} ({LEAKY})" for part in PARTS),
        *(f"{part} (original)" for part in PARTS if original),
    ]
    note = "Right cells of windows x labels, at a score of 0.5"
    note += " as the original work counted." if original else "."
    return Sheet("Element-wise accuracy", note, head, rows)


def _quality(results: dict[str, Any]) -> Sheet:
    figures = {"micro-F1": "micro_f1", "macro-F1": "macro_f1", "mAP": "mean_average_precision"}
    rows = [
        [
            name,
            *(one["honest"][part][key] for key in figures.values() for part in PARTS),
            *(one[LEAKY]["test"][key] for key in figures.values()),
        ]
        for name, one in results.items()
    ]
    head = [
        "model",
        *(f"{what} {part}" for what in figures for part in PARTS),
        *(f"{what} test ({LEAKY})" for what in figures),
    ]
    return Sheet(
        "F1 and mAP",
        "Thresholds are chosen on the validation part; labels without a window do not count.",
        head,
        rows,
    )


def _costs(results: dict[str, Any], *, original: bool) -> Sheet:
    rows = [
        [
            name,
            *(one["honest"][key] for key in ("fit_s", "test_s", "ms", "mb", "size_mb")),
            *([one["work_a"][3] if one["work_a"] else None] if original else []),
        ]
        for name, one in results.items()
    ]
    head = [
        "model",
        "fit, s",
        "whole test part, s",
        "one window, ms",
        "memory, MB",
        "size, MB",
        *(["test set in the original work, s"] if original else []),
    ]
    note = (
        "One window and memory: a fresh process of one thread that loads the model as its "
        "library keeps it; memory is "
        "what it grows by. Served models are ONNX graphs and faster."
    )
    return Sheet("Cost", note, head, rows)


def _plots(results: dict[str, Any]) -> list[Draw]:
    figures = {
        "macro-F1": "macro_f1",
        "mAP": "mean_average_precision",
        "accuracy": "accuracy",
    }
    order = sorted(results, key=lambda name: results[name]["honest"]["test"]["macro_f1"] or 0)

    def draw(ax: Any, title: str, key: str) -> None:
        for at, name in enumerate(order):
            honest_one, leaky_one = (
                results[name][protocol]["test"][key] or 0 for protocol in ("honest", LEAKY)
            )
            ax.plot([honest_one, leaky_one], [at, at], color=MUTED, linewidth=1)
            ax.plot(leaky_one, at, "o", color=SERIES[1], markerfacecolor=PAPER, markersize=7)
            ax.plot(honest_one, at, "o", color=SERIES[0], markersize=7)
        if key == "accuracy":
            nothing = results[order[0]]["honest"]["test"]["accuracy_all_negative"]
            ax.axvline(nothing, color=SERIES[6], linestyle="--", linewidth=1, zorder=0)
        ax.set(title=title, xlim=(-0.02, 1.03), ylim=(-0.6, len(order) - 0.4))
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        ax.set_yticks(range(len(order)), [short(name, NAME) for name in order])

    return [partial(draw, title=title, key=key) for title, key in figures.items()]
