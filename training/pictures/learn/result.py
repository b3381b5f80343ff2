"""Writes the artefact and the report of a trained picture model of any kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.artefact import write as write_artefact
from models.manifest import Label, Source
from training.common.label_links import links_of
from training.common.provenance import origin
from training.pictures.dataset.folds import UNTESTED
from training.pictures.learn import metrics
from training.pictures.learn.history import best_epoch
from training.reporting import pictures as report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.config import PictureConfig
    from training.evaluation.metrics import Metrics
    from training.pictures.dataset.folds import Fold
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import CommonRecipe
    from training.pictures.learn.history import EpochMetrics

GOLDEN = 16
"""Rows whose scores are kept in the artefact."""
THRESHOLD = 0.5
AMONG_CLASSES = ("macro_f1", "majority")
"""Figures that say nothing of a test of one class: nothing in it is taken for that class."""


@dataclass(frozen=True)
class Result:
    """A trained model and its evaluation."""

    recipe: CommonRecipe
    about: str
    """First paragraph of its report."""
    pack: Pack
    config: PictureConfig
    tests: list[metrics.Evaluation]
    """On held-out pictures; the first test set of each name counts."""
    rows: dict[str, Metrics]
    """Rows of the table of candidates, the best first."""
    graph: bytes
    golden: npt.NDArray[np.uint8]
    """Tensors (n, *config.shape)"""
    libraries: Sequence[str]
    split: str
    """split.csv: the part of each picture."""
    history: dict[str, list[EpochMetrics]] = field(default_factory=dict)
    """Epochs by training."""
    matrices: dict[str, list[list[int]]] = field(default_factory=dict)
    """Confusion by stage, as `metrics.pairs` gives it."""
    counts: dict[str, list[int]] = field(default_factory=dict)
    """Pictures of each class by part of the split that was trained on."""
    others: dict[str, list[EpochMetrics]] = field(default_factory=dict)
    """Epochs of every candidate, the best first."""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """More tables of the report: heading to note, head and rows; bars names the columns of name,
    value and group."""
    beside: dict[str, str | bytes] = field(default_factory=dict)
    """More files in the folder of the report: name to text or bytes."""
    heatmap: Callable[[int], str] | None = None
    """From a row of the pack to its Grad-CAM heatmap as a data URI."""


def summary(recipe: CommonRecipe, pack: Pack) -> str:
    """Return what the model predicts, for the first sentence of its report."""
    return recipe.about or f"Which of {len(pack.classes):,} classes a picture shows"


def judged(fold: Fold) -> str:
    """Return what the scores of a network are measured on, for the first paragraph."""
    if fold.tested:
        return "and it is evaluated on a third part"
    return "and nothing tests it: the scores below are of those same pictures, and too good"


def means_of(tests: Sequence[metrics.Evaluation], *, top: Sequence[int]) -> dict[str, float]:
    """Return the means of the figures over at least one test.

    A test of one class does not count in AMONG_CLASSES; where all are so, these are of all pictures
    together.
    """
    found = [metrics.measure(test.scores, test.labels, top=top) for test in tests]
    several = [
        figures
        for figures, test in zip(found, tests, strict=True)
        if len(np.unique(test.labels)) > 1
    ]
    if not several:
        scores, labels = (
            np.concatenate([getattr(test, what) for test in tests]) for what in ("scores", "labels")
        )
        several = [metrics.measure(scores, labels, top=top)]
    return {
        key: float(np.mean([each[key] for each in (several if key in AMONG_CLASSES else found)]))
        for key in found[0]
        if key != "pictures"
    }


def candidate_row(
    tests: Sequence[metrics.Evaluation], *, top: Sequence[int], **known: float | None
) -> Metrics:
    """Return a row of the table of candidates: means over the tests, and the known values."""
    found = means_of(tests, top=top)
    means: dict[str, float | None] = {
        key: found[key] for key in ("top1", "loss", "macro_f1", "majority")
    }
    blank = dict.fromkeys(("minimum_loss", "best_epoch", "valid_macro_f1"))
    test = {"test_accuracy": means.pop("top1"), "test_loss": means.pop("loss")}
    return {**blank, **test, **means, **known}


def trained_row(
    tests: Sequence[metrics.Evaluation],
    history: list[EpochMetrics],
    *,
    top: Sequence[int],
    valid_macro_f1: float,
    weights: int,
) -> Metrics:
    """Return a row of the table of candidates for a network that was trained by epochs."""
    at = best_epoch(history)
    return candidate_row(
        tests,
        top=top,
        minimum_loss=history[at - 1]["valid_loss"],
        best_epoch=at,
        valid_macro_f1=valid_macro_f1,
        seconds_to_best=history[at - 1]["seconds"],
        seconds=history[-1]["seconds"],
        weights=weights,
    )


def first_test_sets(tests: Sequence[metrics.Evaluation]) -> list[metrics.Evaluation]:
    """Return the first test set of each name."""
    first: dict[str, metrics.Evaluation] = {}
    for test in tests:
        first.setdefault(test.name, test)
    return list(first.values())


def manifest_metrics(result: Result) -> Metrics:
    """Return the metrics of the manifest."""
    tests: dict[str, dict[str, Metrics]] = {}
    for test in result.tests:
        tests.setdefault(test.name, {})[test.test_set] = metrics.measure(
            test.scores, test.labels, top=result.recipe.top
        )
    mean = means_of(first_test_sets(result.tests), top=result.recipe.top)
    return {"mean": mean, "tests": tests, "networks": result.rows}


def facts(result: Result) -> dict[str, Any]:
    """Return all that the report shows, as JSON: lists, texts and numbers."""
    pack, first = result.pack, first_test_sets(result.tests)
    scores = np.concatenate([test.scores for test in first])
    labels = np.concatenate([test.labels for test in first])
    top = max([k for k in result.recipe.top if k < len(pack.classes)], default=1)
    return {
        "name": result.recipe.name,
        "about": result.about,
        "classes": pack.classes,
        "top": top,
        "tested": not any(one.test_set.startswith(UNTESTED) for one in result.tests),
        **manifest_metrics(result),
        "labels": metrics.by_class(scores, labels, pack.classes, top=top),
        "counts": result.counts,
        "confusion": metrics.matrix(scores, labels),
        "confusion_pairs": metrics.pairs(scores, labels),
        "confused": metrics.confused(scores, labels, pack.classes),
        "reliability": metrics.calibration(first),
        "mistakes": [
            {**mistake, "path": pack.pictures[mistake["row"]].path}
            for mistake in metrics.mistakes(first, pack.classes)
        ],
        "history": result.history,
        "candidates": result.others,
        "matrices": result.matrices,
        "tables": result.tables,
        "provenance": [dict(entry) for entry in provenance(result.recipe)],
    }


def provenance(recipe: CommonRecipe) -> list[Source]:
    """Return the provenance of the recipe's pictures; the licence is `not stated` by default."""
    default = {
        "source": Path(recipe.pictures.path).name,
        "licence": "not stated",
        "use": "training, evaluation",
    }
    given = recipe.provenance or (default,)
    return [
        Source(source=entry["source"], licence=entry["licence"], use=entry["use"])
        for entry in given
    ]


def write(result: Result, out: Path) -> list[Path]:
    """Write artefact and report, each atomically, and return their folders."""
    found = facts(result)
    artefact = write_artefact(
        out,
        name=result.recipe.name,
        version=result.recipe.version or None,
        task="multi-class",
        kind="picture",
        config=result.config,
        labels=[
            Label(name=name, threshold=THRESHOLD, links=links_of(result.recipe.links, name))
            for name in result.pack.classes
        ],
        onnx=result.graph,
        golden_inputs=result.golden,
        report=report.markdown(found),
        metrics=manifest_metrics(result),
        provenance=provenance(result.recipe),
        libraries={library: version(library) for library in result.libraries},
        origin=origin(result.recipe),
    )
    pictures = picture_uri(result.pack)
    folder = report.write(
        artefact, found, pictures, result.heatmap, split=result.split, beside=result.beside
    )
    return [artefact, folder]


def picture_uri(pack: Pack) -> Callable[[int], str]:
    """Return a function from a row to its picture as a data URI."""
    from training.reporting.playable import pixels

    return lambda row: pixels(np.array(pack.images[row]))


def heatmap(pack: Pack, network_of: Callable[[int], tuple[Any, Any]]) -> Callable[[int], str]:
    """Return a function from a row to its picture with the Grad-CAM heatmap, as a data URI.

    network_of: from a row to the network that scored it, and its input.
    """
    from training.pictures.learn.grad_cam import grad_cam, overlay
    from training.reporting.playable import pixels

    def uri(row: int) -> str:
        (found,) = grad_cam(*network_of(row))
        return pixels(overlay(np.array(pack.images[row]), found))

    return uri


def golden_rows(rows: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.int64]:
    """Return some rows, sorted, whose scores are kept in the artefact."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:GOLDEN])
