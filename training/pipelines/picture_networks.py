"""Recipes with small networks: trains each on a pack and makes the best one an artefact."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.pictures.dataset.folds import (
    WHOLE,
    Fold,
    check,
    counts,
    make_folds,
    print_counts,
    split_csv,
)
from training.pictures.dataset.obtain import obtain
from training.pictures.dataset.settings import PicturesRecipe
from training.pictures.learn import metrics, result
from training.pictures.learn.checkpoints import (
    checkpoint_folder,
    remove_checkpoints,
    training_key,
)
from training.pictures.learn.network import LIBRARIES, keras_file, keras_on_torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from training.common.progress import Stage
    from training.evaluation.metrics import Metrics
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import Network
    from training.pictures.learn.network import Fitted

MOST_KEPT = 64_000_000
"""Bytes of the networks' files in a report; larger networks beyond it have curves alone."""
RECIPE = PicturesRecipe
"""What `training.common.recipe.load` reads these recipes as."""


@dataclass(frozen=True)
class Candidate:
    """One network, trained and evaluated for every fold."""

    network: Network
    fitted: dict[str, Fitted]
    """The trained networks by the name of the fold."""
    tests: list[metrics.Evaluation]
    row: Metrics
    """Its row in the table of networks."""


def run(recipe: PicturesRecipe, out: Path, stage: Stage) -> list[Path]:
    """Run the recipe and return the folders of the artefact and of its report."""
    keras_on_torch(threads=recipe.jobs)
    pack = obtain(recipe, stage)
    with stage("split"):
        folds = make_folds(recipe, pack)
    check(pack, folds)
    print_counts(pack, folds[-1])
    checkpoints: list[Path] = []
    candidates = [
        train(recipe, network, pack, folds, checkpoints, stage) for network in recipe.chosen()
    ]
    candidates.sort(
        key=lambda candidate: (-candidate.row["valid_macro_f1"], candidate.row["minimum_loss"])
    )
    with stage("artefact and report"):
        made = result.write(_result(recipe, candidates, pack, folds), out)
    remove_checkpoints(checkpoints)
    return made


def train(
    recipe: PicturesRecipe,
    network: Network,
    pack: Pack,
    folds: list[Fold],
    checkpoints: list[Path],
    stage: Stage,
) -> Candidate:
    """Return one network trained and evaluated for every fold; its files join `checkpoints`."""
    # Read once: rows in random order would be read from disk one by one.
    images = np.array(pack.images)
    fitted, tests, valid = {}, [], []
    for fold in folds:
        checkpoints.append(_checkpoint(recipe, network, pack, fold))
        trained = _fit(recipe, network, pack, images, fold, checkpoints[-1], stage)
        fitted[fold.name] = trained
        for test_set, rows in fold.tests.items():
            scores = trained.scores(images, rows)
            tests.append(metrics.Evaluation(fold.name, test_set, scores, pack.labels[rows], rows))
        scores = trained.scores(images, fold.valid)
        valid.append(metrics.measure(scores, pack.labels[fold.valid], top=recipe.top))
    row = result.trained_row(
        result.first_test_sets(tests),
        fitted[WHOLE].history,
        top=recipe.top,
        valid_macro_f1=float(np.mean([measured["macro_f1"] for measured in valid])),
        weights=fitted[WHOLE].model.count_params(),
    )
    return Candidate(network, fitted, tests, row)


def _fit(
    recipe: PicturesRecipe,
    network: Network,
    pack: Pack,
    images: npt.NDArray[np.uint8],
    fold: Fold,
    checkpoint: Path,
    stage: Stage,
) -> Fitted:
    from training.pictures.learn.fit import Looks, TrainingData, class_weights, fit

    labels = pack.labels[fold.train]
    weights = class_weights(labels, len(pack.classes), alike=recipe.class_weights)
    material = TrainingData(images, pack.labels, fold.train, fold.valid, weights)
    without = "" if fold.name == WHOLE else f" without {fold.name}"
    most = "at most " if network.patience else ""
    passes = f"{most}{network.epochs:,} epoch{'s' * (network.epochs > 1)}"
    with stage(f"{network.name}{without}: {passes} of {len(labels):,} pictures") as progress:
        return fit(
            network,
            recipe.augment,
            material,
            seed=recipe.seed,
            checkpoint=checkpoint,
            progress=progress,
            looks=Looks(recipe.looks, recipe.top),
        )


def _checkpoint(recipe: PicturesRecipe, network: Network, pack: Pack, fold: Fold) -> Path:
    arrays = (pack.table.sha256, pack.labels, fold.train, fold.valid)
    key = training_key(recipe, arrays, [asdict(network), asdict(recipe.augment)])
    return checkpoint_folder(recipe) / f"{recipe.name}-{key}.npz"


def _result(
    recipe: PicturesRecipe, candidates: list[Candidate], pack: Pack, folds: list[Fold]
) -> result.Result:
    from training.pictures.learn.network_onnx import export

    best = candidates[0]
    golden = np.array(pack.images[result.golden_rows(folds[-1].train, seed=recipe.seed)])
    return result.Result(
        recipe,
        about(recipe, best, pack, folds[-1]),
        pack,
        recipe.pictures.config(),
        best.tests,
        {candidate.network.name: candidate.row for candidate in candidates},
        export(best.fitted[WHOLE], golden),
        golden,
        LIBRARIES,
        split_csv(pack, folds),
        history={name: trained.history for name, trained in best.fitted.items()},
        others={one.network.name: one.fitted[WHOLE].history for one in candidates},
        counts=counts(pack, folds[-1]),
        beside=dict(kept(candidates)),
        heatmap=_heatmap(best, pack),
    )


def kept(candidates: list[Candidate]) -> dict[str, bytes]:
    """Return each network as a .keras file by its name, the best first, up to 64 MB in all."""
    files: dict[str, bytes] = {}
    for number, one in enumerate(candidates, 1):
        model = one.fitted[WHOLE].model
        if 4 * model.count_params() + sum(map(len, files.values())) > MOST_KEPT:
            continue
        name = re.sub(r"[^\w.-]+", "-", one.network.name)
        files[f"network-{number}-{name}.keras"] = keras_file(model)
    return files


def _heatmap(best: Candidate, pack: Pack) -> Callable[[int], str]:
    from training.pictures.learn.network import tensor

    by_row = {row: best.fitted[test.name] for test in best.tests for row in test.rows.tolist()}
    return result.heatmap(
        pack, lambda row: (by_row[row].model, tensor(pack.images, np.array([row])))
    )


def about(recipe: PicturesRecipe, best: Candidate, pack: Pack, fold: Fold) -> str:
    """Return the first paragraph of a report."""
    how = f"the best epoch was chosen on {len(fold.valid):,} others"
    if recipe.split.by_source:
        sources = sorted({picture.source for picture in pack.pictures} - {""})
        how += (
            ". It is evaluated with networks trained in the same way without one of "
            f"{', '.join(sources)} in turn, on that one"
        )
    else:
        how += f", {result.judged(fold)}"
    return (
        f"{result.summary(recipe, pack)}: {best.row['weights']:,} weights trained from scratch "
        f"on {len(fold.train):,} pictures of {recipe.pictures.width} x {recipe.pictures.height} "
        f"pixels; {how}. Near-duplicates, and pictures of one thing or source where the recipe "
        "names them, are in one part only."
    )
