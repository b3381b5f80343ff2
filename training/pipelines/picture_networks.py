"""Recipes with small networks: pictures -> pack -> parts -> each network trained and judged -> the best as artefact."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.pictures.dataset.histogram import text
from training.pictures.dataset.obtain import cache_folder, obtain
from training.pictures.dataset.parts import WHOLE, Part, check, parts
from training.pictures.dataset.settings import PicturesRecipe
from training.pictures.learn import metrics, outcome
from training.pictures.learn.network import keras_on_torch

if TYPE_CHECKING:
    from pathlib import Path

    from training.evaluation.metrics import Metrics
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import Network
    from training.pictures.learn.network import Fitted

RECIPE = PicturesRecipe
"""What `training.common.recipe.load` reads these recipes as."""
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
LIBRARIES = ("numpy", "keras", "torch", "onnx")
STATE = 1
"""Raised whenever unfinished trainings can no longer be gone on with."""


@dataclass(frozen=True)
class Candidate:
    """One network, trained for every part, and what is known of it."""

    network: Network
    fitted: dict[str, Fitted]
    """By the name of the part."""
    judged: list[metrics.Evaluation]
    line: Metrics
    """Its row in the table of networks."""


def run(recipe: PicturesRecipe, out: Path, stage: Stage) -> list[Path]:
    """Carry the recipe out and return the folder of the artefact and that of its report."""
    keras_on_torch()
    import torch

    from training.pictures.learn.fit import remove_checkpoints

    # More threads than asked for would fight over the same cores; and sums depend on how they are
    # shared out.
    torch.set_num_threads(recipe.jobs)
    pack = obtain(recipe, stage)
    with stage("split"):
        every = parts(recipe, pack)
    check(pack, every)
    print(counted(pack, every[-1]), file=sys.stderr)
    checkpoint: list[Path] = []
    candidates = [
        train(recipe, network, pack, every, checkpoint, stage) for network in recipe.chosen()
    ]
    candidates.sort(key=lambda one: (-one.line["valid_macro_f1"], one.line["minimum_loss"]))
    with stage("artefact and report"):
        made = outcome.ship(_outcome(recipe, candidates, pack, every), out)
    remove_checkpoints(checkpoint)
    return made


def counted(pack: Pack, part: Part) -> str:
    """Return how many pictures of each class a training learns from, chooses by and is judged on, as a table."""
    rows = {"train": part.train, "valid": part.valid, **part.tests}
    counts = [np.bincount(pack.labels[some], minlength=len(pack.classes)) for some in rows.values()]
    return text(np.stack(counts, axis=1), pack.classes, list(rows))


def train(
    recipe: PicturesRecipe,
    network: Network,
    pack: Pack,
    every: list[Part],
    checkpoint: list[Path],
    stage: Stage,
) -> Candidate:
    """Return one network trained and judged for every part. checkpoint: is told the files of unfinished trainings."""
    from training.pictures.learn.fit import TrainingData, class_weights, fit

    fitted, judged, valid = {}, [], []
    # Read once: rows in the order of chance would be read from disk one by one.
    images = np.array(pack.images)
    for part in every:
        labels = pack.labels[part.train]
        weights = class_weights(labels, len(pack.classes), alike=recipe.class_weights)
        material = TrainingData(images, pack.labels, part.train, part.valid, weights)
        checkpoint.append(_file(recipe, network, pack, part))
        without = "" if part.name == WHOLE else f" without {part.name}"
        with stage(
            f"{network.name}{without}: {network.epochs} epoch{'s' * (network.epochs > 1)} of {len(labels):,} pictures"
        ) as progress:
            one = fit(
                network,
                recipe.augment,
                material,
                seed=recipe.seed,
                checkpoint=checkpoint[-1],
                progress=progress,
            )
        fitted[part.name] = one
        for question, rows in part.tests.items():
            judged.append(
                metrics.Evaluation(
                    part.name, question, one.scores(images, rows), pack.labels[rows], rows
                )
            )
        valid.append(
            metrics.measure(one.scores(images, part.valid), pack.labels[part.valid], top=recipe.top)
        )
    return Candidate(network, fitted, judged, _line(recipe, fitted[WHOLE], valid, judged))


def _line(
    recipe: PicturesRecipe, fitted: Fitted, valid: list[Metrics], judged: list[metrics.Evaluation]
) -> Metrics:
    from training.pictures.learn.fit import best_epoch

    at = best_epoch(fitted.history)
    return outcome.line(
        outcome.counted(judged),
        top=recipe.top,
        minimum_loss=fitted.history[at - 1]["valid_loss"],
        best_epoch=at,
        valid_macro_f1=float(np.mean([one["macro_f1"] for one in valid])),
        seconds_to_best=fitted.history[at - 1]["seconds"],
        seconds=fitted.history[-1]["seconds"],
        weights=fitted.model.count_params(),
    )


def _file(recipe: PicturesRecipe, network: Network, pack: Pack, part: Part) -> Path:
    """Return the file of a training's state, named after all that decides the training."""
    digest = hashlib.sha256()
    for array in (pack.table.sha256, pack.labels, part.train, part.valid):
        digest.update(np.ascontiguousarray(array).tobytes())
    config = recipe.pictures.config().fingerprint()
    settings = [
        asdict(network),
        asdict(recipe.augment),
        recipe.seed,
        recipe.class_weights,
        config,
        STATE,
    ]
    digest.update(json.dumps(settings).encode())
    return cache_folder(recipe) / "trainings" / f"{recipe.name}-{digest.hexdigest()[:16]}.npz"


def _outcome(
    recipe: PicturesRecipe, candidates: list[Candidate], pack: Pack, every: list[Part]
) -> outcome.Outcome:
    from training.pictures.learn.network_onnx import export

    best = candidates[0]
    golden = np.array(pack.images[outcome.golden_rows(every[-1].train, seed=recipe.seed)])
    return outcome.Outcome(
        recipe,
        about(recipe, best, pack, every[-1]),
        pack,
        recipe.pictures.config(),
        best.judged,
        {one.network.name: one.line for one in candidates},
        export(best.fitted[WHOLE], golden),
        golden,
        LIBRARIES,
        history={name: one.history for name, one in best.fitted.items()},
        looked=_looked(best, pack),
    )


def _looked(best: Candidate, pack: Pack) -> Callable[[int], str]:
    from training.pictures.learn.network import tensor

    judged_by = {row: best.fitted[one.name] for one in best.judged for row in one.rows.tolist()}
    return outcome.looked(
        pack, lambda row: (judged_by[row].model, tensor(pack.images, np.array([row])))
    )


def about(recipe: PicturesRecipe, best: Candidate, pack: Pack, part: Part) -> str:
    """Return the first paragraph of a report."""
    what = recipe.about or f"Which of {len(pack.classes):,} classes a picture shows"
    sources = sorted({picture.source for picture in pack.pictures} - {""})
    if not recipe.split.by_source:
        how = f"the best epoch was chosen on {len(part.valid):,} others, and it is judged on a third part"
    else:
        how = (
            f"the best epoch was chosen on {len(part.valid):,} others. It is judged by networks trained alike without "
            f"one of {', '.join(sources)} in turn, on that one"
        )
    return (
        f"{what}: {best.line['weights']:,} weights trained from scratch on {len(part.train):,} pictures of "
        f"{recipe.pictures.width} x {recipe.pictures.height} pixels; {how}. "
        "Near-duplicates, and pictures of one thing or source where the recipe knows them, are in one part only."
    )
