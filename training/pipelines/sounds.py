"""The recipe `sounds`: labelled recordings of your own to a table, models and an artefact.

Models train on the training part; the validation part calibrates thresholds and selects the model;
the test part only evaluates. No source is in two of them.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.extract import FEATURE_NAMES
from training.common.labels import RATE
from training.common.model_settings import BACKBONE
from training.common.paths import REPORTS
from training.evaluation import leave_one_out
from training.evaluation.generated_noise import noise_floors, share_without_label
from training.evaluation.leave_one_out import SourceScores
from training.evaluation.metrics import Metrics, measure
from training.pipelines import sound_model
from training.pipelines.other_sounds import OtherSounds, Scored, other_sounds
from training.pipelines.sound_events import with_events
from training.pipelines.sound_model import KINDS, Candidate, Report
from training.recordings import audio
from training.recordings.collection import Clip, CollectionError
from training.recordings.problems import problems_kept, write_problems
from training.recordings.recipe_of import cache_of
from training.recordings.settings import SoundsRecipe
from training.recordings.split import PARTS
from training.recordings.table_of_recipe import print_summary, table_of
from training.recordings.windows import SILENT, cut
from training.reporting import markdown

if TYPE_CHECKING:
    import numpy.typing as npt

    from features.config import Samples
    from training.common.progress import Stage
    from training.evaluation.leave_one_out import Fitted
    from training.recordings.table import Table
    from training.sound_models.embedding import FittedEmbedding

RECIPE = SoundsRecipe
"""The class of these recipes, for `training.common.recipe.load`."""
ONE_BY_ONE = 40
"""Test sources up to which the report has a row for each."""
HOW = (
    "Sources of the test part",
    "One model, trained and calibrated on other sources; evaluated windows are not augmented. "
    + markdown.FIGURES,
)
COST = 0.02
"""Loss of macro-F1 to noise thresholds from which on it is told."""
BLOCK = 1024
"""Windows that are scored at a time, so that their tensors need not fit into memory."""


@dataclass(frozen=True)
class TableSounds:
    """The samples of a table's windows, for reports."""

    table: Table

    def read(self, index: list[int]) -> list[Samples]:
        """Return the samples of windows that are not augmented."""
        return [self._read(row) for row in index]

    def _read(self, row: int) -> Samples:
        line = self.table.clip(row)
        path, end = Path(line["path"]), float(line["end"])
        clip = Clip(path, float(line["start"]), end, (), line["source"], inner=line["inner"])
        sound = audio.read(path, clip.inner, rate=RATE)
        begin = float(self.table.starts[row])
        return cut(sound, clip, begin, samples=self.table.config.window, rate=RATE)


def check_recipe(recipe: SoundsRecipe) -> None:
    """Raise RecipeError for settings that a library refuses, before a recording is read.

    Raises MaterialError for a backbone that is none, or a folder of other sounds that is none.
    """
    sound_model.check_estimators(recipe)
    others = Path(recipe.others.path).expanduser()
    if recipe.others.path and not others.is_dir():
        raise CollectionError(f"others.path: no folder {others}")
    if recipe.network.backbone:
        from training.sound_models.embedding import open_backbone

        path = Path(recipe.network.backbone).expanduser()
        open_backbone(path, window=round(recipe.windows.length * RATE))


def run(recipe: SoundsRecipe, out: Path, stage: Stage) -> list[Path]:
    """Run the recipe and return the folder of the artefact, and that of its report."""
    check_recipe(recipe)
    kinds = tuple(dict.fromkeys(KINDS[model] for model in recipe.models))
    key = hashlib.sha256(str(Path(recipe.collection.path).resolve()).encode()).hexdigest()[:8]
    listed = out / REPORTS / f"{recipe.name}-problems.csv"
    listed.parent.mkdir(parents=True, exist_ok=True)
    with problems_kept(listed):
        table, collection, problems = table_of(
            recipe, cache_of(recipe) / f"{recipe.name}-{key}", kinds=kinds
        )
    print_summary(table)
    write_problems(problems, listed)
    check(table, recipe)
    others = None
    if recipe.others.share:
        with stage("other sounds"):
            others = other_sounds(recipe, table.config)
    candidates = [train(recipe, model, table, others, stage) for model in recipe.models]
    best = max(candidates, key=lambda candidate: candidate.metrics["valid"].get("macro_f1") or 0.0)
    best = with_events(recipe, best, collection, table, stage)
    by_model = {candidate.model: candidate.metrics for candidate in candidates}
    artefact = write_artefact(recipe, best, table, by_model, out)
    with stage("report"):
        written = sound_model.write_report(
            artefact,
            best,
            TableSounds(table),
            about=about(recipe, best, table),
            split=(table.path / "clips.csv").read_text(encoding="utf-8"),
        )
    return [artefact, written]


def check(table: Table, recipe: SoundsRecipe) -> None:
    """Raise CollectionError when there is nothing to learn.

    That is: too few training windows, a label that is on in none or in all of them, or only where
    nothing sounds.
    """
    rows = table.rows("train")
    # Networks project nothing onto principal components.
    least = recipe.forest.components + 1 if {*recipe.models} - {BACKBONE, "network"} else 1
    if len(rows) < least:
        alone = f", or learn on the network alone (models={BACKBONE})"
        raise CollectionError(
            f"{len(rows)} training windows: at least {least} are needed; add recordings"
            f"{alone if BACKBONE in recipe.models else ''}"
        )
    labels = np.asarray(table.labels[rows])
    on, loud = labels.sum(axis=0), _sounds_at_all(table, rows)
    for at, name in enumerate(table.names):
        if on[at] and not loud[labels[:, at]].any():
            raise CollectionError(
                f"label {name!r}: nothing sounds in any of its {on[at]} training windows; add "
                "recordings of it"
            )
    for count, name in sorted(zip(on.tolist(), table.names, strict=True)):
        if not count:
            raise CollectionError(
                f"label {name!r} is on in no training window: {_why(table, name)}"
            )
        if count == len(rows):
            raise CollectionError(
                f"label {name!r} is on in every training window, "
                f"so there is nothing to distinguish it from: "
                f"add recordings of something else, or of background (collection.background)"
            )


def _sounds_at_all(table: Table, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which windows are no silence; all, where the table has log-mel only."""
    if table.features is not None:
        return np.asarray(table.features[rows, FEATURE_NAMES.index("rms")] > SILENT)
    if table.samples is None:
        return np.ones(len(rows), bool)
    blocks = (rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK))
    power = [
        np.square(np.asarray(table.samples[block], np.float32)).mean(axis=1) for block in blocks
    ]
    return np.asarray(np.concatenate(power) > SILENT**2)


def _why(table: Table, name: str) -> str:
    """Return why a label is on in no training window, and what to do."""
    elsewhere = np.flatnonzero(np.asarray(table.labels)[:, table.names.index(name)])
    if not len(elsewhere):
        return f"add recordings of it, or lower windows.share ({table.about['rule']})"
    sources = sorted({table.sources[group] for group in np.asarray(table.groups)[elsewhere]})
    parts = sorted({PARTS[part] for part in np.asarray(table.parts)[elsewhere]})
    return (
        f"all of its recordings are of {', '.join(sources[:3])}{' ...' * (len(sources) > 3)}, in "
        f"the {' and '.join(parts)} part; add recordings of it from {len(PARTS)} sources or more, "
        "or train on all there is, without an evaluation (split.shares=[1,0,0])"
    )


def train(
    recipe: SoundsRecipe, model: str, table: Table, others: OtherSounds | None, stage: Stage
) -> Candidate:
    """Return one model fitted on the training part, with thresholds and metrics of the others."""
    with stage(f"{model}: training"):
        fitted = fit(recipe, model, table, others)
    with stage(f"{model}: thresholds and scores"):
        unknown = Scored.by(fitted, others, KINDS[model], table.config) if others else None
        before, thresholds, valid = _calibrate(recipe, fitted, model, table, unknown)
        evaluated = _evaluate(fitted, model, table, table.rows("test"), together=True)
        metrics = {
            scored.source: measure(
                scored.scores, scored.labels, scored.kind, thresholds=thresholds, names=table.names
            )
            for scored in evaluated
        }
    # One figure in manifest, report and promotion check; the test part has few such windows.
    mean = (leave_one_out.mean(metrics) if metrics else {}) | {
        "quiet_without_label": share_without_label(fitted, KINDS[model], table.config, thresholds)
    }
    found = {"left_out": metrics, "mean": mean, "never_trained_on": {}, "valid": valid}
    found |= sound_model.out_of_bag(model, fitted)
    if unknown and evaluated:
        scores, labels = (
            np.concatenate([getattr(scored, what) for scored in evaluated])
            for what in ("scores", "labels")
        )
        ways = unknown.compared(scores, labels, before)
        found["open_set"] = {"share": recipe.others.share, "ways": ways}
    return Candidate(model, fitted, evaluated, thresholds, found, {model: fitted.history})


def fit(recipe: SoundsRecipe, model: str, table: Table, others: OtherSounds | None) -> Fitted:
    """Return a model fitted on the training windows, augmented copies included."""
    tensors, labels = table.tensors(KINDS[model]), np.asarray(table.labels)
    if model == BACKBONE:
        return _on_backbone(recipe, table, others)
    rows = table.rows("valid")[: leave_one_out.MOST_HELD_OUT]
    held_out = (np.asarray(tensors[rows]), labels[rows]) if len(rows) else None
    return sound_model.fit(
        recipe, model, tensors, labels, table.rows("train"), jobs=recipe.jobs, held_out=held_out
    )


def _on_backbone(recipe: SoundsRecipe, table: Table, others: OtherSounds | None) -> FittedEmbedding:
    """Return the model on the network that the recipe names, and say what was tried."""
    from training.sound_models import embedding

    path = Path(recipe.network.backbone).expanduser()
    fitted = embedding.fit(
        path,
        table.tensors(KINDS[BACKBONE]),
        np.asarray(table.labels),
        table.rows("train"),
        np.asarray(table.groups),
        table.recordings(),
        config=table.config,
        seed=recipe.seed,
        kept=cache_of(recipe) / "embeddings",
        others=others.learnt if others else (),
    )
    print(f"{BACKBONE}: {path.name}, {fitted.why}")
    return fitted


def _calibrate(
    recipe: SoundsRecipe, fitted: Fitted, model: str, table: Table, unknown: Scored | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Metrics]:
    """Return the thresholds chosen on the validation part, then raised, and the metrics there.

    They are high enough for the promotion check, if any are; those that follow are also high enough
    for the share of other sounds. Without a validation part they begin at 0.5 and the metrics are
    empty.
    """
    rows = table.rows("valid")
    share = recipe.others.share
    if not len(rows):
        half = np.full(len(table.names), 0.5, np.float32)
        return half, unknown.raised(half, share) if unknown else half, {}
    floors = (
        noise_floors(fitted, KINDS[model], table.config, quiet=recipe.quiet) if recipe.quiet else 0
    )
    by_source = _evaluate(fitted, model, table, rows)
    chosen = leave_one_out.thresholds(by_source, quiet=recipe.quiet)
    quiet = np.minimum(np.ceil(1e4 * np.maximum(chosen, floors)) / 1e4, 1).astype(np.float32)
    thresholds = unknown.raised(quiet, share) if unknown else quiet
    scores, labels, kind = (
        np.concatenate([getattr(scored, what) for scored in by_source])
        for what in ("scores", "labels", "kind")
    )
    before, after, found = (
        measure(scores, labels, kind, thresholds=limits, names=table.names)
        for limits in (chosen, quiet, thresholds)
    )
    _print_cost(model, before, after)
    return quiet, thresholds, found


def _print_cost(model: str, before: Metrics, after: Metrics) -> None:
    """Say what keeping noise without a label costs, and what helps."""
    was, now = (metrics.get("macro_f1") or 0.0 for metrics in (before, after))
    if now < was - COST:
        print(
            f"{model}: macro-F1 on the validation part {was:.2f} -> {now:.2f}, for thresholds were "
            "raised until noise and silence get no label; examples of those in the training help "
            "(collection.nothing, collection.background), or a lower share of them (quiet)",
            file=sys.stderr,
        )


def _evaluate(
    fitted: Fitted, model: str, table: Table, rows: npt.NDArray[np.int64], *, together: bool = False
) -> list[SourceScores]:
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
        [fitted.scores(np.asarray(tensors[block], np.float32)) for block in blocks]
    )
    labels = np.asarray(table.labels[rows])
    kind = np.array(["noise", "solo", "mix"])[np.minimum(labels.sum(axis=1), 2)]
    parts = [(str(name), np.flatnonzero(names == name)) for name in np.unique(names)]
    return [
        SourceScores(name, scores[at], labels[at], kind[at], rows[at], groups[at])
        for name, at in parts
    ]


def about(recipe: SoundsRecipe, candidate: Candidate, table: Table) -> str:
    """Return the first paragraph of a report."""
    counts = {part: len(table.rows(part)) for part in PARTS}
    variants = len(recipe.augment.variants)
    copies = f", {variants} augmented copies of each among them" if variants else ""
    warning = (
        " Every recording counts as a source of its own: scores on recordings from elsewhere "
        "will be lower."
        if len(table.sources) >= len(np.unique(np.asarray(table.clips)))
        else ""
    )
    how = sound_model.DESCRIPTIONS[candidate.model]
    how += f" ({why})" if (why := getattr(candidate.fitted, "why", "")) else ""
    return (
        f"Which of {len(table.names)} labels sound in {table.about['window_s']:g} s: {how}. "
        f"Trained on {counts['train']:,} windows"
        f"{copies}; thresholds from {counts['valid']:,} windows of other sources; evaluated on "
        f"{counts['test']:,} windows of sources that are in neither. Rule: {table.about['rule']}."
        f"{warning}"
    )


def _of_backbone(recipe: SoundsRecipe, candidate: Candidate) -> list[dict[str, str]]:
    """Return where the network in an artefact is from; its licence is for its user to know."""
    if candidate.model != BACKBONE:
        return []
    from training.sound_models.embedding import known

    path = Path(recipe.network.backbone).expanduser()
    name = f"{path.name}, sha256 {known(path)}..."
    return [{"source": name, "licence": "not stated", "use": "embedding"}]


def write_artefact(
    recipe: SoundsRecipe,
    candidate: Candidate,
    table: Table,
    by_model: dict[str, Metrics],
    out: Path,
) -> Path:
    """Write the artefact and return its folder. by_model: the metrics of all models."""
    originals = table.rows("train", copies=False)
    rows = np.random.default_rng(recipe.seed).permutation(originals)[: sound_model.GOLDEN]
    unstated = {
        "source": Path(recipe.collection.path).name,
        "licence": "not stated",
        "use": "training, evaluation",
    }
    report = Report(
        about=about(recipe, candidate, table),
        candidates={candidate.model: candidate.metrics, **by_model},
        provenance=[*(recipe.provenance or [unstated]), *_of_backbone(recipe, candidate)],
        how=HOW,
    )
    return sound_model.write_artefact(
        recipe,
        candidate,
        report,
        out,
        name=recipe.name,
        labels=table.names,
        config=table.config,
        golden_inputs=np.asarray(table.tensors(candidate.kind)[np.sort(rows)], np.float32),
        made_of={"label_rule": table.about["rule"], "table": table.about["fingerprint"]},
    )
