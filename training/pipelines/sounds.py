"""The recipe `sounds`: labelled recordings of your own -> table -> models -> artefact.

Models learn from the training part; the validation part sets thresholds and chooses among models;
the test part only judges. No source is in two of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.artefact import write
from models.manifest import Label, Source
from training.common.labels import RATE
from training.common.provenance import origin
from training.evaluation import leave_one_out
from training.evaluation.metrics import Metrics, measure
from training.recordings import audio
from training.recordings.collection import Clip, CollectionError
from training.recordings.problems import report as list_problems
from training.recordings.recipe_of import cache_of
from training.recordings.settings import SoundsRecipe
from training.recordings.split import PARTS
from training.recordings.table_of_recipe import table_of, tell
from training.recordings.windows import cut
from training.reporting import folder, markdown
from training.reporting.folder import FOLDER
from training.sound_models import forest

if TYPE_CHECKING:
    import numpy.typing as npt

    from features.config import Kind, Samples
    from training.recordings.table import Table

RECIPE = SoundsRecipe
"""What `training.common.recipe.load` reads these recipes as."""
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
KINDS: dict[str, Kind] = {"forest": "features", "network": "log_mel"}
LIBRARIES = {"forest": ("numpy", "scikit-learn", "onnx"), "network": ("numpy", "torch", "onnx")}
ABOUT = {
    "forest": "26 features, standardised, projected by PCA, random forest",
    "network": "a small convolutional network on the log-mel spectrogram",
}
ONE_BY_ONE = 40
"""Test sources up to which the report has a row for each."""
HOW = (
    "Sources of the test part",
    "One model, trained and calibrated on other sources; windows that are judged are not augmented. "
    + markdown.FIGURES,
)
GOLDEN = 32
BLOCK = 1024
"""Windows that are scored at a time, so that their tensors need not fit into memory."""


@dataclass(frozen=True)
class Candidate:
    """A model, its thresholds, and what the test part says of it."""

    model: str
    fitted: leave_one_out.Fitted
    thresholds: npt.NDArray[np.float32]
    valid: Metrics
    judged: list[leave_one_out.Judged]
    metrics: Metrics


@dataclass(frozen=True)
class Heard:
    """The sound of a table's windows, for reports."""

    table: Table

    def read(self, index: list[int]) -> list[Samples]:
        """Return the samples of unvaried windows."""
        return [self._read(row) for row in index]

    def _read(self, row: int) -> Samples:
        line = self.table.clip(row)
        path, end = Path(line["path"]), float(line["end"])
        clip = Clip(path, float(line["start"]), end, (), line["source"], inner=line["inner"])
        sound = audio.read(path, clip.inner, rate=RATE)
        return cut(
            sound, clip, float(self.table.starts[row]), samples=self.table.config.window, rate=RATE
        )


def run(recipe: SoundsRecipe, out: Path, stage: Stage) -> list[Path]:
    """Carry the recipe out and return the folder of the artefact, and that of its report."""
    kinds = tuple(KINDS[model] for model in recipe.models)
    place = hashlib.sha256(str(Path(recipe.collection.path).resolve()).encode()).hexdigest()[:8]
    table, problems = table_of(recipe, cache_of(recipe) / f"{recipe.name}-{place}", kinds=kinds)
    tell(table)
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    list_problems(problems, out / FOLDER / f"{recipe.name}-problems.csv")
    check(table, recipe)
    candidates = [train(recipe, model, table, stage) for model in recipe.models]
    best = max(candidates, key=lambda candidate: candidate.valid.get("macro_f1") or 0.0)
    artefact = ship(
        recipe, best, table, {candidate.model: candidate.metrics for candidate in candidates}, out
    )
    with stage("report"):
        pipeline = best.fitted.pipeline() if isinstance(best.fitted, forest.FittedForest) else None
        written = folder.write(
            artefact,
            about=about(recipe, best, table),
            judged=best.judged,
            history={best.model: best.fitted.history},
            windows=Heard(table),
            estimator=pipeline,
        )
    return [artefact, written]


def check(table: Table, recipe: SoundsRecipe) -> None:
    """Raise CollectionError when there is nothing to learn: too few windows, or a label always or never on."""
    rows = table.rows("train")
    least = recipe.forest.components + 1
    if len(rows) < least:
        raise CollectionError(
            f"{len(rows)} training windows: at least {least} are needed; add recordings"
        )
    on = np.asarray(table.labels[rows]).sum(axis=0)
    for name, count in zip(table.names, on.tolist(), strict=True):
        if not count:
            raise CollectionError(
                f"label {name!r} is on in no training window: add recordings of it, or lower windows.share "
                f"({table.about['rule']})"
            )
        if count == len(rows):
            raise CollectionError(
                f"label {name!r} is on in every training window, so there is nothing to tell it from: "
                f"add recordings of something else, or of nothing (collection.background)"
            )


def train(recipe: SoundsRecipe, model: str, table: Table, stage: Stage) -> Candidate:
    """Return one model fitted on the training part, with thresholds from the validation part, judged on the rest."""
    with stage(f"{model}: training"):
        fitted = fit(recipe, model, table)
    with stage(f"{model}: thresholds and scores"):
        rows = table.rows("valid")
        names = table.names
        limits = np.full(len(names), 0.5, np.float32)
        valid: Metrics = {}
        if len(rows):
            by_source = _judge(fitted, model, table, rows)
            limits = leave_one_out.thresholds(by_source, quiet=recipe.quiet)
            whole = [
                np.concatenate([getattr(one, what) for one in by_source])
                for what in ("scores", "labels", "kind")
            ]
            valid = measure(*whole, thresholds=limits, names=names)
        judged = _judge(fitted, model, table, table.rows("test"), together=True)
        metrics = {
            one.source: measure(one.scores, one.labels, one.kind, thresholds=limits, names=names)
            for one in judged
        }
    mean = leave_one_out.mean(metrics) if metrics else {}
    return Candidate(
        model,
        fitted,
        limits,
        valid,
        judged,
        {"left_out": metrics, "mean": mean, "never_trained_on": {}},
    )


def fit(recipe: SoundsRecipe, model: str, table: Table) -> leave_one_out.Fitted:
    """Return a model fitted on the training windows, varied ones included."""
    tensors, labels, rows = (
        table.tensors(KINDS[model]),
        np.asarray(table.labels),
        table.rows("train"),
    )
    seen = table.rows("valid")[: leave_one_out.WATCHED]
    watch = (np.asarray(tensors[seen]), labels[seen]) if len(seen) else None
    if model == "forest":
        chosen = np.asarray(tensors[rows])
        return forest.fit(
            chosen, labels[rows], recipe.forest, seed=recipe.seed, jobs=recipe.jobs, watch=watch
        )
    import torch

    from training.sound_models import network

    torch.set_num_threads(recipe.jobs)
    return network.fit(tensors, labels, rows, recipe.network, seed=recipe.seed, watch=watch)


def _judge(
    fitted: leave_one_out.Fitted,
    model: str,
    table: Table,
    rows: npt.NDArray[np.int64],
    *,
    together: bool = False,
) -> list[leave_one_out.Judged]:
    """Return scores by source; `together`: as one, where there are too many sources for a table."""
    if not len(rows):
        return []
    groups = np.asarray(table.groups[rows])
    names = np.array(table.sources)[groups]
    if together and len(np.unique(groups)) > ONE_BY_ONE:
        names = np.full(len(rows), f"{len(np.unique(groups))} sources")
    tensors = table.tensors(KINDS[model])
    blocks = (rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK))
    scores = np.concatenate(
        [fitted.scores(np.asarray(tensors[some], np.float32)) for some in blocks]
    )
    labels = np.asarray(table.labels[rows])
    kind = np.array(["noise", "solo", "mix"])[np.minimum(labels.sum(axis=1), 2)]
    parts = [(str(name), np.flatnonzero(names == name)) for name in np.unique(names)]
    return [
        leave_one_out.Judged(name, scores[at], labels[at], kind[at], rows[at], groups[at])
        for name, at in parts
    ]


def about(recipe: SoundsRecipe, candidate: Candidate, table: Table) -> str:
    """Return the first paragraph of a report."""
    counts = {part: len(table.rows(part)) for part in PARTS}
    recordings = len(np.unique(np.asarray(table.clips)))
    warning = " Every recording counts as a source of its own: those from elsewhere will be heard less well."
    copies = (
        f", {len(recipe.augment.variants)} variants of each among them"
        if recipe.augment.variants
        else ""
    )
    return (
        f"Which of {len(table.names)} labels sound in {table.about['window_s']:g} s: {ABOUT[candidate.model]}. "
        f"Trained on {counts['train']:,} windows{copies}; thresholds from {counts['valid']:,} windows of other "
        f"sources; judged on {counts['test']:,} windows of sources that are in neither. Rule: {table.about['rule']}."
        f"{warning if len(table.sources) >= recordings else ''}"
    )


def onnx(candidate: Candidate, table: Table) -> bytes:
    """Return the model as a graph that takes windows of the table's length."""
    if candidate.model == "forest":
        return candidate.fitted.onnx()
    from training.sound_models.network import FittedNetwork
    from training.sound_models.network_onnx import export

    assert isinstance(candidate.fitted, FittedNetwork)
    bands, frames = table.config.shape("log_mel")
    return export(candidate.fitted.members, bands=bands, frames=frames)


def ship(
    recipe: SoundsRecipe, candidate: Candidate, table: Table, every: dict[str, Metrics], out: Path
) -> Path:
    """Write the artefact and return its folder. every: the metrics of all models by name."""
    kind = KINDS[candidate.model]
    rows = np.random.default_rng(recipe.seed).permutation(table.rows("train", copies=False))[
        :GOLDEN
    ]
    limits = {
        name: round(limit, 4)
        for name, limit in zip(table.names, candidate.thresholds.tolist(), strict=True)
    }
    nothing_said = {
        "source": Path(recipe.collection.path).name,
        "licence": "not stated",
        "use": "training, evaluation",
    }
    provenance = list(recipe.provenance) or [nothing_said]
    order = {candidate.model: candidate.metrics, **every}
    text = markdown.write(
        recipe.name, about=about(recipe, candidate, table), candidates=order, metrics=candidate.metrics,
        judged=candidate.judged, thresholds=limits, provenance=provenance, how=HOW,
    )  # fmt: skip
    return write(
        out,
        name=recipe.name,
        version=recipe.version or None,
        task="multi-label",
        kind=kind,
        config=table.config,
        labels=[Label(name=name, threshold=limit) for name, limit in limits.items()],
        onnx=onnx(candidate, table),
        golden_inputs=np.asarray(table.tensors(kind)[np.sort(rows)], np.float32),
        report=text,
        metrics=candidate.metrics | {"valid": candidate.valid},
        provenance=[
            Source(source=p["source"], licence=p["licence"], use=p["use"]) for p in provenance
        ],
        libraries={library: version(library) for library in LIBRARIES[candidate.model]},
        origin=origin(recipe)
        | {"label_rule": table.about["rule"], "table": table.about["fingerprint"]},
    )
