"""The recipe `sounds`: labelled recordings of your own to a table, models and an artefact.

Models train on the training part; the validation part calibrates thresholds and selects the model;
the test part only evaluates. No source is in two of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.extract import FEATURE_NAMES
from training.common.labels import RATE
from training.common.model_settings import BACKBONE, SHIPPED_BACKBONE
from training.common.paths import REPORTS
from training.evaluation import leave_one_out
from training.pipelines import sound_evaluation, sound_model
from training.pipelines.other_sounds import OtherSounds, Scored, other_sounds
from training.pipelines.sound_evaluation import BLOCK, best_of
from training.pipelines.sound_events import with_events
from training.pipelines.sound_model import Candidate, Report, kind_of
from training.recordings import audio
from training.recordings.collection import Clip, CollectionError
from training.recordings.problems import problems_kept, write_problems
from training.recordings.recipe_of import cache_of
from training.recordings.settings import SoundsRecipe
from training.recordings.split import PARTS
from training.recordings.table_of_recipe import print_summary, table_of
from training.recordings.windows import SILENT, cut
from training.reporting import markdown
from training.sound_models.given_network import path_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from features.config import Samples
    from training.common.progress import Stage
    from training.evaluation.leave_one_out import Fitted
    from training.evaluation.metrics import Metrics
    from training.recordings.table import Table
    from training.sound_models.embedding import FittedEmbedding

MOST_EMBEDDED = 10_000
"""Training windows that a model on embeddings learns from: regressions on more take minutes."""
RECIPE = SoundsRecipe
"""The class of these recipes, for `training.common.recipe.load`."""
HOW = (
    "Sources of the test part",
    "One model, trained and calibrated on other sources; evaluated windows are not augmented. The "
    f"row *{markdown.TOGETHER}* is of all these windows, not the mean of the rows: the windows of "
    "one source, which often has one label, cannot show what that label is mistaken for. A label "
    "in a window without any is a false positive. *Generated noise*: the share of the promotion "
    "check's noise and silence that gets no label. " + markdown.FIGURES,
)


@dataclass(frozen=True)
class TableSounds:
    """The samples of a table's windows, for reports."""

    table: Table
    recordings: audio.Recordings = field(default_factory=lambda: audio.Recordings(RATE))

    def read(self, index: list[int]) -> list[Samples]:
        """Return the samples of windows that are not augmented."""
        return [self._read(row) for row in index]

    def _read(self, row: int) -> Samples:
        line = self.table.clip(row)
        path, end = Path(line["path"]), float(line["end"])
        clip = Clip(path, float(line["start"]), end, (), line["source"], inner=line["inner"])
        sound = self.recordings.read(path, clip.inner)
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
        from training.sound_models.embedding import check_backbone

        path = path_of(recipe.network.backbone)
        check_backbone(path, window=round(recipe.windows.length * RATE))


def run(recipe: SoundsRecipe, out: Path, stage: Stage) -> list[Path]:
    """Run the recipe and return the folder of the artefact, and that of its report."""
    check_recipe(recipe)
    kinds = tuple(dict.fromkeys(kind_of(recipe, model) for model in recipe.models))
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
    best, why = best_of(candidates)
    best = with_events(recipe, best, collection, table, stage)
    by_model = {candidate.model: candidate.metrics for candidate in candidates}
    artefact = write_artefact(recipe, best, table, by_model, out, why)
    with stage("report"):
        written = sound_model.write_report(
            artefact,
            best,
            TableSounds(table),
            about=about(recipe, best, table, why),
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
    kind = kind_of(recipe, model)
    with stage(f"{model}: training"):
        fitted = fit(recipe, model, table, others)
    with stage(f"{model}: thresholds and scores"):
        unknown = Scored.by(fitted, others, kind, table.config) if others else None
        before, thresholds, valid = sound_evaluation.calibrate(
            recipe, fitted, model, table, unknown
        )
        evaluated = sound_evaluation.evaluate(
            fitted, kind, table, table.rows("test"), together=True
        )
        found = sound_evaluation.metrics_of(fitted, kind, table, evaluated, thresholds)
    found |= {"valid": valid} | sound_model.out_of_bag(model, fitted)
    if unknown and evaluated:
        whole = leave_one_out.together(evaluated)
        ways = unknown.compared(whole.scores, whole.labels, before)
        found["open_set"] = {"share": recipe.others.share, "ways": ways}
    return Candidate(model, fitted, evaluated, thresholds, found, {model: fitted.history}, kind)


def fit(recipe: SoundsRecipe, model: str, table: Table, others: OtherSounds | None) -> Fitted:
    """Return a model fitted on the training windows, augmented copies included."""
    tensors, labels = table.tensors(kind_of(recipe, model)), np.asarray(table.labels)
    if model == BACKBONE:
        return _on_backbone(recipe, table, others)
    rows = leave_one_out.spread(table.rows("valid"))
    held_out = (np.asarray(tensors[rows]), labels[rows]) if len(rows) else None
    return sound_model.fit(
        recipe, model, tensors, labels, table.rows("train"), jobs=recipe.jobs, held_out=held_out
    )


def _on_backbone(recipe: SoundsRecipe, table: Table, others: OtherSounds | None) -> FittedEmbedding:
    """Return the model on the network that the recipe names, and say what was tried."""
    from training.sound_models import embedding

    path, rows = path_of(recipe.network.backbone), table.rows("train")
    if len(rows) > MOST_EMBEDDED:
        drawn = np.random.default_rng(recipe.seed).permutation(rows)[:MOST_EMBEDDED]
        rows = np.sort(drawn)
        print(f"{BACKBONE}: {MOST_EMBEDDED:,} training windows, drawn at random")
    fitted = embedding.fit(
        path,
        table.tensors(kind_of(recipe, BACKBONE)),
        np.asarray(table.labels),
        rows,
        np.asarray(table.groups),
        table.recordings(),
        config=table.config,
        seed=recipe.seed,
        kept=cache_of(recipe) / "embeddings",
        others=others.learnt if others else (),
        copies=np.asarray(table.copies) > 0,
    )
    print(f"{BACKBONE}: {path.name}, {fitted.why}")
    return fitted


def about(recipe: SoundsRecipe, candidate: Candidate, table: Table, why: str = "") -> str:
    """Return the first paragraph of a report. why: this model, where no figure chose it."""
    counts = {part: len(table.rows(part)) for part in PARTS}
    variants = len(recipe.augment.variants)
    copies = f", {variants} augmented copies of each among them" if variants else ""
    warning = (
        " Every recording counts as a source of its own: scores on recordings from elsewhere "
        "will be lower."
        if counts["test"] and len(table.sources) >= len(np.unique(np.asarray(table.clips)))
        else ""
    )
    how = sound_model.DESCRIPTIONS[candidate.model]
    how += f" ({tried})" if (tried := getattr(candidate.fitted, "summary", "")) else ""
    raised = f", raised for {recipe.others.share:.0%} of other sounds" * bool(recipe.others.share)
    thresholds = (
        f"thresholds from {counts['valid']:,} windows of other sources"
        if counts["valid"]
        else f"thresholds of 0.5{raised}, for there is no validation part"
    )
    evaluated = (
        f"evaluated on {counts['test']:,} windows of sources that are in neither"
        if counts["test"]
        else "not evaluated, for there is no test part"
    )
    return (
        f"Which of {len(table.names)} labels sound in {table.about['window_s']:g} s: {how}. "
        f"Trained on {counts['train']:,} windows{copies}; {thresholds}; {evaluated}. Rule: "
        f"{table.about['rule']}.{f' {why}' if why else ''}{warning}"
    )


def _of_backbone(recipe: SoundsRecipe, candidate: Candidate) -> list[dict[str, str]]:
    """Return where the network in an artefact is from; its licence is for its user to know."""
    if candidate.model != BACKBONE:
        return []
    from training.sound_models.given_network import stated

    given = recipe.network.backbone
    licence = "Apache-2.0, as Timbre" if given == SHIPPED_BACKBONE else "not stated"
    return [{"source": stated(path_of(given)), "licence": licence, "use": "embedding"}]


def write_artefact(
    recipe: SoundsRecipe,
    candidate: Candidate,
    table: Table,
    by_model: dict[str, Metrics],
    out: Path,
    why: str = "",
) -> Path:
    """Write the artefact and return its folder. by_model: the metrics of all models.

    why: as in `about`.
    """
    originals = table.rows("train", copies=False)
    rows = np.random.default_rng(recipe.seed).permutation(originals)[: sound_model.GOLDEN]
    unstated = {
        "source": Path(recipe.collection.path).name,
        "licence": "not stated",
        "use": "training, evaluation",
    }
    report = Report(
        about=about(recipe, candidate, table, why),
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
