"""Searches learning rates and resets of the second stage; seeded, timed and resumable."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.pictures.learn.history import Diverged
from training.pictures.transfer.transfer import reset, train
from training.pictures.transfer.transfer_settings import PARTS, StageSettings, TransferRecipe

if TYPE_CHECKING:
    from training.common.progress import Progress
    from training.pictures.learn.fit import TrainingData
    from training.pictures.learn.history import EpochMetrics
    from training.pictures.transfer.transfer import TransferNetwork

HEAD = ("trial", *PARTS, "resets", "epochs", "validation loss", "seconds")
NOTE = (
    "Trials for the second stage, the lowest validation loss first: a learning rate for each part, "
    "and the parts that began with random weights. Trials that were worse than the median of the "
    "others, or running when the time was up, have no loss. The first row was trained in full."
)
BEFORE_PRUNING = 3
"""Complete trials before others may be pruned."""


@dataclass(frozen=True)
class SearchResult:
    """The result of a search."""

    fine: StageSettings
    """The second stage with the best rates and resets; the recipe's own if no trial completed."""
    table: dict[str, Any]
    """A table of the report: note, head and rows."""


def search(
    recipe: TransferRecipe,
    learner: TransferNetwork,
    material: TrainingData,
    journal: Path,
    progress: Progress,
) -> SearchResult:
    """Return the best rates and resets found within the recipe's time; the network is unchanged.

    journal: a file that holds every trial; the search resumes from it, and its time counts.
    """
    budget = recipe.search.minutes * 60
    study, before = _study(recipe, journal), [array.copy() for array in learner.model.get_weights()]
    if _seconds(study) < budget:
        start = _after_head(recipe, learner, material, journal.with_suffix(".head.pt"))
        while _seconds(study) < budget and len(_ended(study)) < recipe.search.trials:
            progress(int(_seconds(study)), int(budget))
            _trial(study, recipe, learner, material, start)
        learner.model.set_weights(before)
    complete = sorted(_complete(study), key=lambda trial: trial.value)
    others = [trial for trial in _ended(study) if trial not in complete]
    fine = _settings(complete[0].params, recipe.fine) if complete else recipe.fine
    return SearchResult(
        fine, {"note": NOTE, "head": HEAD, "rows": [_row(trial) for trial in complete + others]}
    )


def toml(fine: StageSettings) -> str:
    """Return the best settings as a section of a recipe."""
    rates = "".join(f"{part} = {getattr(fine, part)}\n" for part in PARTS)
    resets = ", ".join(f'"{part}"' for part in fine.resets)
    return f"[fine]\n{rates}resets = [{resets}]\n"


def print_result(found: SearchResult) -> None:
    """Print the best settings to the terminal."""
    print(
        f"best of {len(found.table['rows'])} trials:\n{toml(found.fine)}", file=sys.stderr, end=""
    )


def _study(recipe: TransferRecipe, journal: Path) -> Any:
    """Return the study of a file; trials of a killed process are marked as failed."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    settings = recipe.search
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=f"{settings.epochs} epochs, {settings.lowest} to {settings.highest}",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING),
        load_if_exists=True,
    )
    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _ended(study: Any) -> list[Any]:
    return [trial for trial in study.get_trials() if trial.state.name in {"COMPLETE", "PRUNED"}]


def _complete(study: Any) -> list[Any]:
    return [trial for trial in _ended(study) if trial.state.name == "COMPLETE"]


def _seconds(study: Any) -> float:
    return float(sum(trial.duration.total_seconds() for trial in _ended(study)))


def _after_head(
    recipe: TransferRecipe, learner: TransferNetwork, material: TrainingData, checkpoint: Path
) -> list[Any]:
    """Return the weights after the first stage, with which every trial begins."""
    reset(learner, recipe.head.resets, recipe.network, seed=recipe.seed + 1)
    train(
        learner,
        recipe.head,
        recipe.augment,
        material,
        seed=recipe.seed,
        checkpoint=checkpoint,
        report=lambda _: None,
    )
    checkpoint.unlink()
    return [array.copy() for array in learner.model.get_weights()]


def _trial(
    study: Any,
    recipe: TransferRecipe,
    learner: TransferNetwork,
    material: TrainingData,
    start: list[Any],
) -> None:
    import optuna

    trial, how = _suggest(study, recipe)
    before, began = _seconds(study), time.monotonic()
    may_prune = bool(_complete(study))

    def report(history: list[EpochMetrics]) -> None:
        loss = history[-1]["valid_loss"]
        late = before + time.monotonic() - began > recipe.search.minutes * 60
        trial.report(loss, len(history))
        if may_prune and len(history) < how.epochs and (late or trial.should_prune()):
            raise optuna.TrialPruned

    learner.model.set_weights(start)
    reset(learner, how.resets, recipe.network, seed=recipe.seed + 1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "trial.pt"
        try:
            history = train(
                learner,
                how,
                recipe.augment,
                material,
                seed=recipe.seed,
                checkpoint=checkpoint,
                report=report,
            )
        except (optuna.TrialPruned, Diverged):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, min(one["valid_loss"] for one in history))


def _suggest(study: Any, recipe: TransferRecipe) -> tuple[Any, StageSettings]:
    """Return a trial and its stage, which depend only on the seed and on the trials that ended."""
    import optuna

    ended, settings = len(_ended(study)), recipe.search
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed * 1_000_003 + ended)
    if not ended:  # the recipe's own settings, so that the result is never worse
        rates = {
            part: min(max(getattr(recipe.fine, part), settings.lowest), settings.highest)
            for part in PARTS
        }
        study.enqueue_trial(
            {**rates, **{f"reset {part}": part in recipe.fine.resets for part in PARTS}}
        )
    trial = study.ask()
    for part in PARTS:
        trial.suggest_float(part, settings.lowest, settings.highest, log=True)
        trial.suggest_categorical(f"reset {part}", [False, True])
    frozen = min(recipe.fine.frozen, settings.epochs - 1)
    return trial, replace(
        _settings(trial.params, recipe.fine), epochs=settings.epochs, frozen=frozen
    )


def _settings(params: dict[str, Any], fine: StageSettings) -> StageSettings:
    """Return a stage with the rates of a trial, rounded to the three digits that are reported."""
    low, middle, high, classifier = (float(f"{params[part]:.3g}") for part in PARTS)
    resets = tuple(part for part in PARTS if params[f"reset {part}"])
    return replace(fine, low=low, middle=middle, high=high, classifier=classifier, resets=resets)


def _row(trial: Any) -> list[Any]:
    rates = [f"{trial.params[part]:.3g}" for part in PARTS]
    resets = ", ".join(part for part in PARTS if trial.params[f"reset {part}"])
    seconds = f"{trial.duration.total_seconds():.1f}"
    loss = (
        trial.value if trial.state.name == "COMPLETE" else None
    )  # Optuna keeps the last loss of the others
    return [
        trial.number + 1,
        *rates,
        resets or "none",
        len(trial.intermediate_values),
        loss,
        seconds,
    ]
