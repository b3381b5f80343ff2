"""What a model of pictures came to: its metrics, its report, its artefact, whatever it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.artefact import write
from models.manifest import Label, Source
from training.common.provenance import origin
from training.pictures.learn import metrics
from training.reporting import pictures as report
from training.reporting.charts import LARGEST_MATRIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.config import PictureConfig
    from training.evaluation.metrics import Metrics
    from training.pictures.dataset.packed import Pack

GOLDEN = 16
THRESHOLD = 0.5


@dataclass(frozen=True)
class Outcome:
    """A model and all that is known of it."""

    recipe: Any
    """With name, seed, top, version, provenance and pictures.path."""
    about: str
    """First paragraph of its report."""
    pack: Pack
    config: PictureConfig
    judged: list[metrics.Evaluation]
    """On pictures that nothing was learnt from; of each name, the first question is the one that
    counts."""
    lines: dict[str, Metrics]
    """A row for each candidate, the best first."""
    graph: bytes
    golden: npt.NDArray[np.uint8]
    """Tensors (n, *config.shape)"""
    libraries: Sequence[str]
    history: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Looks at each epoch, by training."""
    matrices: dict[str, list[list[int]] | None] = field(default_factory=dict)
    """Confusion by stage."""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """More tables of the report: heading to note, head and rows; bars names the columns of name,
    value and group."""
    beside: dict[str, str] = field(default_factory=dict)
    """More pages in the folder of the report: file name to HTML."""
    looked: Callable[[int], str] | None = None
    """From a row of the pack to its picture, as a data URI, with where the network looked."""


def line(
    judged: Sequence[metrics.Evaluation], *, top: Sequence[int], **known: float | None
) -> Metrics:
    """Return a row of the table of candidates: means over what each was judged on, and what else is known."""
    found = [metrics.measure(one.scores, one.labels, top=top) for one in judged]
    means = {
        key: float(np.mean([one[key] for one in found])) for key in ("top1", "macro_f1", "majority")
    }
    blank = dict.fromkeys(("minimum_loss", "best_epoch", "valid_macro_f1"))
    return {**blank, "test_accuracy": means.pop("top1"), **means, **known}


def counted(judged: Sequence[metrics.Evaluation]) -> list[metrics.Evaluation]:
    """Return the first question of each name."""
    first: dict[str, metrics.Evaluation] = {}
    for one in judged:
        first.setdefault(one.name, one)
    return list(first.values())


def manifest_metrics(outcome: Outcome) -> Metrics:
    """Return what the manifest says."""
    tests: dict[str, dict[str, Metrics]] = {}
    for one in outcome.judged:
        tests.setdefault(one.name, {})[one.question] = metrics.measure(
            one.scores, one.labels, top=outcome.recipe.top
        )
    first = [next(iter(questions.values())) for questions in tests.values()]
    mean = {
        key: float(np.mean([one[key] for one in first])) for key in first[0] if key != "pictures"
    }
    return {"mean": mean, "tests": tests, "networks": outcome.lines}


def facts(outcome: Outcome) -> dict[str, Any]:
    """Return all that the report shows, as JSON: lists, texts and numbers."""
    pack, those = outcome.pack, counted(outcome.judged)
    scores, labels = (
        np.concatenate([getattr(one, what) for one in those]) for what in ("scores", "labels")
    )
    top = max([k for k in outcome.recipe.top if k < len(pack.classes)], default=1)
    return {
        "name": outcome.recipe.name,
        "about": outcome.about,
        "classes": pack.classes if len(pack.classes) <= LARGEST_MATRIX else [],
        "top": top,
        **manifest_metrics(outcome),
        "labels": metrics.by_class(scores, labels, pack.classes, top=top),
        "confusion": metrics.matrix(scores, labels),
        "confused": metrics.confused(scores, labels, pack.classes),
        "reliability": metrics.calibration(those),
        "mistakes": [
            {**one, "path": pack.pictures[one["row"]].path}
            for one in metrics.mistakes(those, pack.classes)
        ],
        "history": outcome.history,
        "matrices": outcome.matrices,
        "tables": outcome.tables,
        "provenance": [dict(one) for one in provenance(outcome.recipe)],
    }


def provenance(recipe: Any) -> list[Source]:
    """Return where the recipe's pictures come from, as far as it says."""
    nothing_said = {
        "source": Path(recipe.pictures.path).name,
        "licence": "not stated",
        "use": "training, evaluation",
    }
    given = recipe.provenance or (nothing_said,)
    return [Source(source=one["source"], licence=one["licence"], use=one["use"]) for one in given]


def ship(outcome: Outcome, out: Path) -> list[Path]:
    """Write artefact and report, each whole or not at all, and return their folders."""
    found = facts(outcome)
    artefact = write(
        out,
        name=outcome.recipe.name,
        version=outcome.recipe.version or None,
        task="multi-class",
        kind="picture",
        config=outcome.config,
        labels=[Label(name=name, threshold=THRESHOLD) for name in outcome.pack.classes],
        onnx=outcome.graph,
        golden_inputs=outcome.golden,
        report=report.markdown(found),
        metrics=manifest_metrics(outcome),
        provenance=provenance(outcome.recipe),
        libraries={library: version(library) for library in outcome.libraries},
        origin=origin(outcome.recipe),
    )
    return [
        artefact,
        report.write(artefact, found, shown(outcome.pack), outcome.looked, beside=outcome.beside),
    ]


def shown(pack: Pack) -> Callable[[int], str]:
    """Return what gives the picture of a row as a data URI."""
    from training.reporting.playable import pixels

    return lambda row: pixels(np.array(pack.images[row]))


def looked(pack: Pack, asked: Callable[[int], tuple[Any, Any]]) -> Callable[[int], str]:
    """Return what gives the picture of a row as a data URI, with where a network looked.

    asked: from a row to the network that judged it, and what that takes.
    """
    from training.pictures.learn.grad_cam import heat, over
    from training.reporting.playable import pixels

    def drawn(row: int) -> str:
        (found,) = heat(*asked(row))
        return pixels(over(np.array(pack.images[row]), found))

    return drawn


def golden_rows(rows: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.int64]:
    """Return some rows whose scores are checkpoint in the artefact."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:GOLDEN])
