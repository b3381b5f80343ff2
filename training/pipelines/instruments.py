"""The recipe `instruments`: windows -> tensors -> two models, each judged without each source -> artefacts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.extract import extract_many
from models.artefact import write
from models.manifest import Label, Source
from training.common.errors import MaterialError
from training.common.labels import LABELS
from training.common.provenance import origin
from training.common.recipe import RecipeError
from training.evaluation import leave_one_out
from training.evaluation.metrics import measure
from training.notes.tensors import tensors
from training.notes.window_set import Spec, WindowSet, build
from training.notes.window_set import gather as open_material
from training.reporting import folder, markdown
from training.sound_models import forest, whole_recordings

if TYPE_CHECKING:
    import numpy.typing as npt

    from features.config import Kind
    from training.common.recipe import Counts, Recipe
    from training.notes.library import Library

Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens one line of progress; the function it gives takes (done, total)."""

KINDS: dict[str, Kind] = {"forest": "features", "network": "log_mel"}
"""What each of the two models takes."""
NAMES = {"forest": "instruments-forest", "network": "instruments-net"}
BEST = "instruments"
"""The name under which the model that generalises better is shipped once more."""
ABOUT = {
    "forest": "Which of eleven instruments sound in 2 s: 26 features, standardised, projected by PCA, random forest.",
    "network": "Which of eleven instruments sound in 2 s: a small convolutional network on the log-mel spectrogram.",
}
GOLDEN = 32
LIBRARIES = {"forest": ("numpy", "scikit-learn", "onnx"), "network": ("numpy", "torch", "onnx")}


@dataclass(frozen=True)
class Windows:
    """The windows to train on and, not augmented, those to judge with."""

    train: WindowSet
    test: WindowSet
    excluded: tuple[str, ...]
    """Sources that are judged, never trained on."""
    libraries: dict[str, Library]
    """The single notes of every source."""


@dataclass(frozen=True)
class Candidate:
    """One of the two models, trained on everything it may, with what the evaluation says of it."""

    model: str
    fitted: leave_one_out.Fitted
    judged: list[leave_one_out.Judged]
    thresholds: npt.NDArray[np.float32]
    metrics: dict[str, Any]
    history: dict[str, list[leave_one_out.Look]]
    """How the training without each source went, seen from that source."""


def run(recipe: Recipe, out: Path, stage: Stage) -> list[Path]:
    """Carry the recipe out and return the folders of the artefacts, the better model first."""
    windows = gather(recipe, stage)
    candidates = [train(recipe, model, windows, stage) for model in recipe.models]
    candidates.sort(key=lambda candidate: -candidate.metrics.get("mean", {}).get("macro_f1", 0.0))
    table = {NAMES[candidate.model]: candidate.metrics for candidate in candidates}
    ships = [*zip([BEST], candidates, strict=False), *zip(table, candidates, strict=True)]
    made = []
    for name, candidate in ships:
        made.append(ship(recipe, candidate, name, out, windows, table))
        with stage(f"report of {name}"):
            present(
                made[-1], candidate, windows, about=_about(recipe, candidate.model, name, table)
            )
    return made


def data_folder(recipe: Recipe) -> Path:
    """Return the folder that the recipe's paths start from."""
    return Path(recipe.data or os.environ.get("TIMBRE_DATA") or "../shared/data").resolve()


def cache_folder(recipe: Recipe) -> Path:
    """Return the folder for windows and tensors."""
    return Path(recipe.cache or "~/.cache/timbre").expanduser()


def gather(recipe: Recipe, stage: Stage) -> Windows:
    """Return the windows, drawn at the first call; the test windows have another seed and are not augmented."""
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
            f"holdout: no source {', '.join(unknown)}; there is {', '.join(leave_one_out.sources_of(train))}"
        )
    judges = [
        source
        for source in leave_one_out.sources_of(test)
        if source not in leave_one_out.sources_of(train)
    ]
    return Windows(train, test, (*judges, *recipe.holdout), libraries)


def _check_labels(train: WindowSet) -> None:
    heard = [label for number, label in enumerate(LABELS) if train.labels[:, number].any()]
    absent = ", ".join(label for label in LABELS if label not in heard)
    if len(heard) < 2:
        raise MaterialError(
            f"only {', '.join(heard)} to train on: add folders or sound fonts that have {absent}"
        )
    if absent:
        print(f"no material for {absent}: the models will not know these", file=sys.stderr)


def _spec(recipe: Recipe, fonts: tuple[str, ...], counts: Counts, *, augment: bool) -> Spec:
    folders, fonts_there, scores = (
        _there(recipe, paths) for paths in (recipe.material.folders, fonts, recipe.material.scores)
    )
    return Spec(
        folders=folders, fonts=fonts_there, scores=scores, augment=augment, **asdict(counts)
    )


def _there(recipe: Recipe, paths: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the paths that this machine has, and say which it has not: the recipe runs anywhere, on less."""
    whole = [data_folder(recipe) / Path(path).expanduser() for path in paths]
    if absent := [str(path) for path in whole if not path.exists()]:
        print(f"not on this machine, done without: {', '.join(absent)}", file=sys.stderr)
    return tuple(path for path in whole if path.exists())


def train(recipe: Recipe, model: str, windows: Windows, stage: Stage) -> Candidate:
    """Return one model trained on everything it may train on, judged without each source in turn."""
    kind = KINDS[model]
    with stage(f"{model}: {kind} of training windows") as progress:
        table = tensors(windows.train, kind=kind, jobs=recipe.jobs, progress=progress)
    with stage(f"{model}: {kind} of test windows") as progress:
        test = tensors(windows.test, kind=kind, jobs=recipe.jobs, progress=progress)
    rows = leave_one_out.splits(windows.train, excluded=windows.excluded) if recipe.evaluate else {}
    watch = [leave_one_out.watched(windows.test, test, source) for source in rows]
    everything = np.flatnonzero(windows.train.held_out(*windows.excluded)[0])
    work = list(zip([*rows.values(), everything], [*watch, None], strict=True))
    *without, fitted = fit_all(recipe, model, table, windows.train, work, stage)
    judged = leave_one_out.leave_one_out(dict(zip(rows, without, strict=True)), windows.test, test)
    limits = (
        leave_one_out.thresholds(judged, **_rule(recipe))
        if judged
        else np.full(len(LABELS), 0.5, np.float32)
    )
    metrics = _metrics(recipe, windows, fitted, test, judged, limits)
    with stage(f"{model}: whole recordings"):
        for source, one in zip(rows, without, strict=True):
            found = whole_recordings.judge(
                one, windows.libraries[source], kind=kind, seed=recipe.seed
            )
            metrics["left_out"][source].update(found)
    metrics["mean"] = leave_one_out.mean(metrics["left_out"]) if judged else {}
    metrics |= _ensemble(recipe, fitted, kind, limits)
    history = {source: one.history for source, one in zip(rows, without, strict=True)}
    return Candidate(model, fitted, judged, limits, metrics, history)


def _rule(recipe: Recipe) -> dict[str, Any]:
    """Return how thresholds are chosen."""
    return {
        "quiet": recipe.quiet,
        "beta": recipe.beta,
        "least": [recipe.least.get(label, 0.0) for label in LABELS],
    }


def _metrics(
    recipe: Recipe,
    windows: Windows,
    fitted: leave_one_out.Fitted,
    test: npt.NDArray[Any],
    judged: list[leave_one_out.Judged],
    limits: npt.NDArray[np.float32],
) -> dict[str, Any]:
    """Return the metrics per source left out, and those of the sources that are never trained on."""
    left_out = leave_one_out.measure_each(judged, LABELS, **_rule(recipe))
    extra = {}
    for source in windows.excluded:
        one = leave_one_out.judge(
            fitted, windows.test, test, source, windows.test.held_out(source)[1]
        )
        extra[source] = measure(one.scores, one.labels, one.kind, thresholds=limits, names=LABELS)
    return {"left_out": left_out, "never_trained_on": extra}


def fit_all(
    recipe: Recipe,
    model: str,
    table: npt.NDArray[Any],
    windows: WindowSet,
    parts: list[tuple[npt.NDArray[np.int64], leave_one_out.Watch | None]],
    stage: Stage,
) -> list[leave_one_out.Fitted]:
    """Return a model per choice of rows (and of windows to watch), side by side, each in a process of one thread."""
    from joblib import Parallel, delayed

    fitted = []
    with stage(f"{model}: {len(parts)} trainings") as progress:
        work = Parallel(n_jobs=min(recipe.jobs, len(parts)), return_as="generator")
        # Not `windows` itself: its sounds must not travel to the processes.
        made = (recipe, model, table, windows.labels, windows.folder / "networks")
        for one in work(delayed(fit)(*made, rows, watch) for rows, watch in parts):
            fitted.append(one)
            progress(len(fitted), len(parts))
    return fitted


def fit(
    recipe: Recipe,
    model: str,
    table: npt.NDArray[Any],
    labels: npt.NDArray[np.bool_],
    kept: Path,
    rows: npt.NDArray[np.int64],
    watch: leave_one_out.Watch | None = None,
) -> leave_one_out.Fitted:
    """Return one model trained on some rows of the table, looked at on the way on windows to `watch`.

    kept: folder for networks that are done, so that a killed recipe goes on with the first that is
    not.
    """
    if model == "forest":
        return forest.fit(table[rows], labels[rows], recipe.forest, seed=recipe.seed, watch=watch)
    # torch is not there on a machine that only makes forests.
    import torch

    from training.sound_models import network

    torch.set_num_threads(1)
    return network.fit(
        table, labels, rows, recipe.network, seed=recipe.seed, watch=watch, kept=kept
    )


def _ensemble(
    recipe: Recipe, fitted: leave_one_out.Fitted, kind: Kind, limits: npt.NDArray[np.float32]
) -> dict[str, Any]:
    there, playing = data_folder(recipe) / recipe.material.ensemble, recipe.material.ensemble_labels
    if not recipe.material.ensemble or not there.is_dir():
        return {}
    return {"ensemble": whole_recordings.ensemble(there, playing, fitted, kind=kind, limits=limits)}


def _about(recipe: Recipe, model: str, name: str, table: dict[str, Any]) -> str:
    """Return the first paragraph of a report."""
    about = ABOUT[model]
    if name == BEST:
        about += f" It is `{NAMES[model]}`, the best of {', '.join(table)} by mean macro-F1."
    if recipe.least:
        raised = ", ".join(f"{label} {least}" for label, least in recipe.least.items())
        about += f" Thresholds have the best F-{recipe.beta:g} and are no lower than: {raised}; the ensemble below,"
        about += " which showed the need, is no test of these."
    return about


def present(artefact: Path, candidate: Candidate, windows: Windows, *, about: str) -> None:
    """Write the report of an artefact, with sounds and pictures, to a folder beside all artefacts."""
    folder.write(
        artefact,
        about=about,
        judged=candidate.judged,
        history=candidate.history,
        windows=windows.test,
        estimator=candidate.fitted.pipeline()
        if isinstance(candidate.fitted, forest.FittedForest)
        else None,
    )


def ship(
    recipe: Recipe,
    candidate: Candidate,
    name: str,
    out: Path,
    windows: Windows,
    table: dict[str, Any],
) -> Path:
    """Write the artefact of a candidate and return its folder. table: the metrics of all candidates by name."""
    kind = KINDS[candidate.model]
    chosen = np.random.default_rng(recipe.seed).permutation(len(windows.test))[:GOLDEN]
    limits = {
        label: round(limit, 4)
        for label, limit in zip(LABELS, candidate.thresholds.tolist(), strict=True)
    }
    text = markdown.write(
        name,
        about=_about(recipe, candidate.model, name, table),
        candidates=table,
        metrics=candidate.metrics,
        judged=candidate.judged,
        thresholds=limits,
        provenance=recipe.provenance,
    )
    return write(
        out,
        name=name,
        version=recipe.version or None,
        task="multi-label",
        kind=kind,
        labels=[Label(name=label, threshold=limit) for label, limit in limits.items()],
        onnx=candidate.fitted.onnx(),
        golden_inputs=extract_many(windows.test.read(np.sort(chosen)), kind=kind),
        report=text,
        metrics=candidate.metrics,
        provenance=[
            Source(source=p["source"], licence=p["licence"], use=p["use"])
            for p in recipe.provenance
        ],
        libraries={library: version(library) for library in LIBRARIES[candidate.model]},
        origin=origin(recipe),
    )
