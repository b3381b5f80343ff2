"""The recipe `instruments`: windows, tensors, two models and their evaluation, artefacts."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.extract import extract_many
from training.common.errors import MaterialError
from training.common.labels import LABELS
from training.common.paths import cache_root, data_root
from training.common.recipe import RecipeError
from training.evaluation import leave_one_out, threshold_choices
from training.evaluation.metrics import measure
from training.notes.tensors import tensors
from training.notes.window_set import Spec, WindowSet, build
from training.notes.window_set import gather as open_material
from training.pipelines import sound_model, taught
from training.pipelines.instruments_recipe import BEST, NAMES, InstrumentsRecipe
from training.pipelines.performance_events import with_events
from training.pipelines.sound_model import KINDS, Candidate, Report
from training.sound_models import whole_recordings

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.common.progress import Stage
    from training.evaluation.leave_one_out import Fitted, HeldOut, SourceScores
    from training.notes.library import Library
    from training.pipelines.instruments_recipe import Counts
    from training.pipelines.sound_model import Taught

RECIPE = InstrumentsRecipe
"""The class of these recipes, for `training.common.recipe.load`."""


@dataclass(frozen=True)
class Windows:
    """The windows to train on and, without augmentation, those to evaluate with."""

    train: WindowSet
    test: WindowSet
    excluded: tuple[str, ...]
    """Sources that only evaluate."""
    libraries: dict[str, Library]
    """The single notes of every source."""


def check_recipe(recipe: InstrumentsRecipe) -> None:
    """Raise RecipeError for settings that a library refuses, before anything is read."""
    sound_model.check_estimators(recipe)


def run(recipe: InstrumentsRecipe, out: Path, stage: Stage) -> list[Path]:
    """Run the recipe and return the folders of the artefacts, the better model first."""
    check_recipe(recipe)
    windows = gather(recipe, stage)
    candidates = [train(recipe, model, windows, stage) for model in recipe.models]
    candidates.sort(key=lambda candidate: -candidate.metrics.get("mean", {}).get("macro_f1", 0.0))
    table = {NAMES[candidate.model]: candidate.metrics for candidate in candidates}
    artefacts = [*zip([BEST], candidates, strict=False), *zip(table, candidates, strict=True)]
    chosen = np.random.default_rng(recipe.seed).permutation(len(windows.test))[: sound_model.GOLDEN]
    golden = windows.test.read(np.sort(chosen))
    made = []
    for name, candidate in artefacts:
        report = Report(
            about=_about(recipe, candidate.model, name, table),
            candidates=table,
            provenance=recipe.provenance,
        )
        inputs = extract_many(golden, kind=candidate.kind)
        made.append(
            sound_model.write_artefact(
                recipe, candidate, report, out, name=name, labels=LABELS, golden_inputs=inputs
            )
        )
        with stage(f"report of {name}"):
            sound_model.write_report(
                made[-1],
                candidate,
                windows.test,
                about=report.about,
                split=split_csv(windows),
            )
    return made


def split_csv(windows: Windows) -> str:
    """Return a line for each source: its part, and how many windows of it alone are in which set.

    Sources of the part train are each left out of a model that is evaluated with them.
    """
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(("source", "part", "train windows", "test windows"))
    for source in sorted({*windows.train.sources, *windows.test.sources}):
        part = "test" if source in windows.excluded else "train"
        counts = [int(each.held_out(source)[1].sum()) for each in (windows.train, windows.test)]
        table.writerow((source, part, counts[0] if part == "train" else 0, counts[1]))
    return lines.getvalue()


def data_folder(recipe: InstrumentsRecipe) -> Path:
    """Return the folder that the recipe's paths start from."""
    return data_root(recipe.data).resolve()


def cache_folder(recipe: InstrumentsRecipe) -> Path:
    """Return the folder for windows and tensors."""
    return cache_root(recipe.cache)


def gather(recipe: InstrumentsRecipe, stage: Stage) -> Windows:
    """Return the windows, drawn at the first call.

    The test windows have a seed of their own and are not augmented.
    """
    material, jobs = recipe.material, recipe.jobs
    sets = []
    for name, fonts, counts, augment in (
        ("train", material.fonts, recipe.train, True),
        ("test", material.fonts + material.judges, recipe.test, False),
    ):
        with stage(f"{name} windows") as progress:
            spec = _spec(recipe, fonts, counts, augment=augment)
            seed = 2 * recipe.seed + (not augment)
            sets.append(build(spec, cache_folder(recipe), seed=seed, jobs=jobs, progress=progress))
    libraries = open_material(spec, cache_folder(recipe) / "material", jobs=jobs).libraries
    train, test = sets
    _check_labels(train)
    if unknown := set(recipe.holdout) - set(leave_one_out.sources_of(train)):
        raise RecipeError(
            f"holdout: no source {', '.join(unknown)}; "
            f"there is {', '.join(leave_one_out.sources_of(train))}"
        )
    evaluation_only = [
        source
        for source in leave_one_out.sources_of(test)
        if source not in leave_one_out.sources_of(train)
    ]
    return Windows(train, test, (*evaluation_only, *recipe.holdout), libraries)


def _check_labels(train: WindowSet) -> None:
    present = [label for number, label in enumerate(LABELS) if train.labels[:, number].any()]
    absent = ", ".join(label for label in LABELS if label not in present)
    if len(present) < 2:
        raise MaterialError(
            f"only {', '.join(present)} to train on: add folders or sound fonts that have {absent}"
        )
    if absent:
        print(f"no material for {absent}: the models cannot recognise these", file=sys.stderr)


def _spec(
    recipe: InstrumentsRecipe, fonts: tuple[str, ...], counts: Counts, *, augment: bool
) -> Spec:
    folders, fonts_there, scores = (
        _there(recipe, paths) for paths in (recipe.material.folders, fonts, recipe.material.scores)
    )
    return Spec(
        folders=folders,
        fonts=fonts_there,
        joined=recipe.material.joined,
        scores=scores,
        augment=augment,
        **asdict(counts),
    )


def _there(recipe: InstrumentsRecipe, paths: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the paths that exist and print the others: the recipe runs with less material."""
    whole = [data_folder(recipe) / Path(path).expanduser() for path in paths]
    if absent := [str(path) for path in whole if not path.exists()]:
        print(f"not on this machine, ignored: {', '.join(absent)}", file=sys.stderr)
    return tuple(path for path in whole if path.exists())


def train(recipe: InstrumentsRecipe, model: str, windows: Windows, stage: Stage) -> Candidate:
    """Return one model trained on all training windows, evaluated without each source in turn."""
    kind = KINDS[model]
    with stage(f"{model}: {kind} of training windows") as progress:
        table = tensors(windows.train, kind=kind, jobs=recipe.jobs, progress=progress)
    with stage(f"{model}: {kind} of test windows") as progress:
        test = tensors(windows.test, kind=kind, jobs=recipe.jobs, progress=progress)
    rows = leave_one_out.splits(windows.train, excluded=windows.excluded) if recipe.evaluate else {}
    held_out = [leave_one_out.held_out_windows(windows.test, test, source) for source in rows]
    everything = np.flatnonzero(windows.train.held_out(*windows.excluded)[0])
    how = taught.plan(recipe, model, windows.train, [*rows, ""], windows.excluded, stage)
    work = list(zip([*rows.values(), everything], [*held_out, None], how, strict=True))
    *without, fitted = fit_all(recipe, model, table, windows.train, work, stage)
    models = dict(zip(rows, without, strict=True))
    evaluated = leave_one_out.leave_one_out(models, windows.test, test)
    thresholds = (
        leave_one_out.thresholds(evaluated, **_rule(recipe))
        if evaluated
        else np.full(len(LABELS), 0.5, np.float32)
    )
    metrics = _metrics(recipe, windows, fitted, test, evaluated, thresholds)
    with stage(f"{model}: whole recordings"):
        for source, fitted_without in models.items():
            found = whole_recordings.evaluate(
                fitted_without, windows.libraries[source], kind=kind, seed=recipe.seed
            )
            metrics["left_out"][source].update(found)
    metrics["mean"] = leave_one_out.mean(metrics["left_out"]) if evaluated else {}
    metrics |= _ensemble(recipe, fitted, model, thresholds)
    metrics |= sound_model.out_of_bag(model, fitted)
    history = {source: fitted_without.history for source, fitted_without in models.items()}
    made = Candidate(model, fitted, evaluated, thresholds, metrics, history, kind)
    return with_events(recipe, made, models, windows.libraries, _rule(recipe), stage)


def _rule(recipe: InstrumentsRecipe) -> dict[str, Any]:
    """Return how thresholds are chosen."""
    return {
        "quiet": recipe.quiet,
        "beta": recipe.beta,
        "mixtures": recipe.mixtures,
        "least": [recipe.least.get(label, 0.0) for label in LABELS],
    }


def _metrics(
    recipe: InstrumentsRecipe,
    windows: Windows,
    fitted: Fitted,
    test: npt.NDArray[Any],
    evaluated: list[SourceScores],
    thresholds: npt.NDArray[np.float32],
) -> dict[str, Any]:
    """Return the metrics of each source left out, and of the sources that only evaluate."""
    left_out = leave_one_out.measure_each(evaluated, LABELS, **_rule(recipe))
    extra = {}
    for source in windows.excluded:
        chosen = windows.test.held_out(source)[1]
        found = leave_one_out.evaluate(fitted, windows.test, test, source, chosen)
        extra[source] = measure(
            found.scores, found.labels, found.kind, thresholds=thresholds, names=LABELS
        )
    choices = threshold_choices.compare(evaluated, **_rule(recipe))
    return {"left_out": left_out, "never_trained_on": extra, "threshold_choices": choices}


def fit_all(
    recipe: InstrumentsRecipe,
    model: str,
    table: npt.NDArray[Any],
    windows: WindowSet,
    parts: list[tuple[npt.NDArray[np.int64], HeldOut | None, Taught | None]],
    stage: Stage,
) -> list[Fitted]:
    """Return a model per choice of rows, fitted in parallel, each in a process of one thread."""
    from joblib import Parallel, delayed

    fitted = []
    with stage(f"{model}: {len(parts)} trainings") as progress:
        work = Parallel(n_jobs=min(recipe.jobs, len(parts)), return_as="generator")
        # Not `windows` itself: its samples must not be sent to the processes.
        same = (recipe, model, table, windows.labels)
        calls = (
            delayed(sound_model.fit)(
                *same, rows, held_out=held_out, cache=windows.folder / "networks", taught=how
            )
            for rows, held_out, how in parts
        )
        for trained in work(calls):
            fitted.append(trained)
            progress(len(fitted), len(parts))
    return fitted


def _ensemble(
    recipe: InstrumentsRecipe, fitted: Fitted, model: str, thresholds: npt.NDArray[np.float32]
) -> dict[str, Any]:
    folder, playing = (
        data_folder(recipe) / recipe.material.ensemble,
        recipe.material.ensemble_labels,
    )
    if not recipe.material.ensemble or not folder.is_dir():
        return {}
    found = whole_recordings.ensemble(
        folder, playing, fitted, kind=KINDS[model], thresholds=thresholds
    )
    return {"ensemble": found}


def _about(recipe: InstrumentsRecipe, model: str, name: str, table: dict[str, Any]) -> str:
    """Return the first paragraph of a report."""
    about = f"Which of eleven instruments sound in 2 s: {sound_model.DESCRIPTIONS[model]}."
    if name == BEST:
        known = any(metrics["mean"].get("macro_f1") is not None for metrics in table.values())
        best = "best" if known else "first"
        why = "by mean macro-F1" if known else "for no macro-F1 tells which is best"
        about += f" It is `{NAMES[model]}`, the {best} of {', '.join(table)}, {why}."
    if recipe.least:
        raised = ", ".join(f"{label} {least}" for label, least in recipe.least.items())
        about += (
            f" Thresholds have the best F-{recipe.beta:g} and are at least: {raised}; the ensemble "
            f"below was used to choose these minima, so it does not test them."
        )
    return about
