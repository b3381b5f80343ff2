"""Recipes that teach a known network new classes: pictures -> pack -> the classifier, then all of it -> artefact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from common.errors import Unprocessable
from features.config import Metadata, PictureConfig
from features.picture import facts as told_facts
from training.common.errors import MaterialError
from training.pictures.dataset.obtain import cache_folder, obtain
from training.pictures.dataset.parts import check, parts
from training.pictures.learn import backbones, live_curves, metrics, outcome
from training.pictures.learn.network import keras_on_torch, softmax, temperature
from training.pictures.learn.transfer_settings import SearchSettings, TransferRecipe

if TYPE_CHECKING:
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.parts import Part
    from training.pictures.learn.fit import TrainingData
    from training.pictures.learn.transfer import EpochMetrics, TransferNetwork

RECIPE = TransferRecipe
"""What `training.common.recipe.load` reads these recipes as."""
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
LIBRARIES = ("numpy", "keras", "torch", "onnx")
STATE = 1
"""Raised whenever unfinished trainings can no longer be gone on with."""
MOVED = ("layer", "part", "squared difference", "share of the squares before")
DRAWN = ("layer", "squared difference", "part")


@dataclass(frozen=True)
class Trained:
    """What a stage came to."""

    name: str
    history: list[EpochMetrics]
    weights: list[npt.NDArray[Any]]
    temperature: float
    judged: metrics.Evaluation
    valid: metrics.Evaluation


def run(recipe: TransferRecipe, out: Path, stage: Stage) -> list[Path]:
    """Carry the recipe out and return the folder of the artefact and that of its report."""
    live_curves.check(tensorboard=recipe.tensorboard)
    keras_on_torch()
    import torch

    from training.pictures.learn.fit import remove_checkpoints
    from training.pictures.learn.transfer import build

    # More threads than asked for would fight over the same cores; and sums depend on how they are
    # shared out.
    torch.set_num_threads(recipe.jobs)
    pack, part = _divided(recipe, stage)
    config = config_of(recipe, pack)
    material = material_of(recipe, pack, part, config)
    with stage(f"{recipe.network.backbone}, weights: {recipe.network.weights}"):
        size = {"height": config.height, "width": config.width}
        learner = build(
            recipe.network, labels=len(pack.classes), extra=config.extra, seed=recipe.seed, **size
        )
    before = [array.copy() for array in learner.model.get_weights()]
    recipe, tables = _searched(recipe, learner, material, stage)
    checkpoint: list[Path] = []
    trained = _stages(recipe, learner, material, part, checkpoint, stage)
    learner.model.set_weights(trained[0].weights)
    tables["How far weights moved"] = _moved(learner, before)
    with stage("artefact and report"):
        made = outcome.ship(
            _outcome(recipe, pack, part, config, material, learner, trained, tables), out
        )
    if recipe.save_weights:
        backbones.save(learner.backbone, Path(recipe.save_weights).expanduser())
    remove_checkpoints(checkpoint)
    return made


def _divided(recipe: TransferRecipe, stage: Stage) -> tuple[Pack, Part]:
    pack = obtain(recipe, stage)
    with stage("split"):
        part = parts(recipe, pack)[-1]
    check(pack, [part])
    return pack, part


def config_of(recipe: TransferRecipe, pack: Pack) -> PictureConfig:
    """Return how a picture becomes a tensor: metadata takes the values that the pictures have."""
    named = pack.about["metadata"]
    if missing := [name for name in recipe.metadata if name not in named]:
        raise MaterialError(
            f"metadata {missing[0]!r} is missing in the pack, which has {', '.join(named) or 'none'}"
        )
    columns = {
        name: sorted({picture.metadata[named.index(name)] for picture in pack.pictures})
        for name in recipe.metadata
    }
    try:
        told = tuple(Metadata(name=name, values=tuple(values)) for name, values in columns.items())
        return replace(recipe.pictures.config(), metadata=told)
    except Unprocessable as error:
        raise MaterialError(f"metadata: {error}") from error


def material_of(
    recipe: TransferRecipe, pack: Pack, part: Part, config: PictureConfig
) -> TrainingData:
    """Return what is learnt from."""
    from training.pictures.learn.fit import TrainingData, class_weights

    named = pack.about["metadata"]
    told = [
        {name: picture.metadata[named.index(name)] for name in recipe.metadata}
        for picture in pack.pictures
    ]
    facts = np.array([told_facts(config, one) for one in told], np.uint8).reshape(
        len(told), config.extra
    )
    weights = class_weights(pack.labels[part.train], len(pack.classes), alike=recipe.class_weights)
    return TrainingData(pack.images, pack.labels, part.train, part.valid, weights, facts)


def _searched(
    recipe: TransferRecipe, learner: TransferNetwork, material: TrainingData, stage: Stage
) -> tuple[TransferRecipe, dict[str, dict[str, Any]]]:
    """Return the recipe with the rates and resets that were found, which searches no more, and the table of trials."""
    if not recipe.search.minutes:
        return recipe, {}
    from training.pictures.learn.transfer_search import print_result, search

    folder = cache_folder(recipe) / "trainings"
    journal = folder / f"{recipe.name}-{_key(recipe, learner, material)}-search.log"
    with stage(f"search: at most {recipe.search.minutes:g} minutes") as progress:
        found = search(recipe, learner, material, journal, progress)
    print_result(found)
    return replace(recipe, fine=found.fine, search=SearchSettings()), {"Search": found.table}


def _stages(
    recipe: TransferRecipe,
    learner: TransferNetwork,
    material: TrainingData,
    part: Part,
    checkpoint: list[Path],
    stage: Stage,
) -> list[Trained]:
    """Return what each stage came to, the best first. checkpoint: is told the files of unfinished trainings."""
    from training.pictures.learn.transfer import reset, train

    folder = cache_folder(recipe) / "trainings"
    key, done = _key(recipe, learner, material), []
    drawn = live_curves.Curves(
        folder / f"{recipe.name}-{key}", name=recipe.name, tensorboard=recipe.tensorboard
    )
    for name, how in {"head": recipe.head, "fine": recipe.fine}.items():
        reset(learner, how.resets, recipe.network, seed=recipe.seed + 1)
        checkpoint.append(folder / f"{recipe.name}-{key}-{name}.pt")
        with stage(
            f"{name}: at most {how.epochs} epoch{'s' * (how.epochs > 1)} of {len(material.train):,} pictures"
        ) as progress:

            def tell(
                history: list[EpochMetrics],
                name: str = name,
                epochs: int = how.epochs,
                bar: Any = progress,
            ) -> None:
                drawn.tell(name, history)
                bar(len(history), epochs)

            history = train(
                learner,
                how,
                recipe.augment,
                material,
                seed=recipe.seed,
                checkpoint=checkpoint[-1],
                tell=tell,
            )
        drawn.know(name, history)
        done.append(_judged(name, history, learner, material, part))
    drawn.close()
    return sorted(done, key=lambda one: min(look["valid_loss"] for look in one.history))


def _judged(
    name: str,
    history: list[EpochMetrics],
    learner: TransferNetwork,
    material: TrainingData,
    part: Part,
) -> Trained:
    logits = learner.logits(material, part.valid)
    sharp = np.float32(temperature(logits, material.labels[part.valid]))
    found = []
    for question, rows in {"test": part.tests["test"], "valid": part.valid}.items():
        scores = softmax(learner.logits(material, rows) / sharp)
        found.append(metrics.Evaluation(part.name, question, scores, material.labels[rows], rows))
    return Trained(name, history, learner.model.get_weights(), float(sharp), *found)


def _key(recipe: TransferRecipe, learner: TransferNetwork, material: TrainingData) -> str:
    """Return what tells one training from another: all that decides it."""
    digest = hashlib.sha256()
    for array in (
        material.labels,
        material.facts,
        material.train,
        material.valid,
        *learner.model.get_weights(),
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    sections = [asdict(one) for one in (recipe.network, recipe.head, recipe.fine, recipe.augment)]
    config = recipe.pictures.config().fingerprint()
    digest.update(json.dumps([sections, recipe.seed, recipe.class_weights, config, STATE]).encode())
    return digest.hexdigest()[:16]


def _moved(learner: TransferNetwork, before: list[npt.NDArray[Any]]) -> dict[str, Any]:
    """Return how far the weights of each layer moved: the squared difference, and over the squares before."""
    names = {id(weight): at for at, weight in enumerate(learner.model.weights)}
    after, rows = learner.model.get_weights(), []
    for part, layers in learner.parts.items():
        for layer in layers:
            at = [names[id(weight)] for weight in layer.weights]
            far = sum(float(np.square(after[i] - before[i]).sum()) for i in at)
            was = sum(float(np.square(before[i]).sum()) for i in at)
            rows.append([layer.name, part, far, far / was if was else None])
    return {
        "note": "From before the first stage to the artefact.",
        "head": MOVED,
        "rows": rows,
        "bars": DRAWN,
    }


def _outcome(
    recipe: TransferRecipe,
    pack: Pack,
    part: Part,
    config: PictureConfig,
    material: TrainingData,
    learner: TransferNetwork,
    trained: list[Trained],
    tables: dict[str, dict[str, Any]],
) -> outcome.Outcome:
    from training.pictures.learn.transfer import inputs
    from training.pictures.learn.transfer_onnx import export, stacked

    rows = outcome.golden_rows(part.train, seed=recipe.seed)
    return outcome.Outcome(
        recipe,
        _about(recipe, pack, part, trained[0]),
        pack,
        config,
        [trained[0].judged],
        {one.name: _line(one, recipe, learner) for one in trained},
        export(learner, config, trained[0].temperature, material, rows),
        stacked(material, rows, config),
        LIBRARIES,
        tables=tables,
        **_by_stage(trained),
        looked=outcome.looked(pack, lambda row: (learner.model, inputs(material, np.array([row])))),
    )


def _by_stage(trained: list[Trained]) -> dict[str, dict[str, Any]]:
    """Return the looks and the confusion of each stage, in the order they were trained in."""
    stages = sorted(trained, key=lambda one: one.name != "head")
    matrices = {one.name: metrics.matrix(one.judged.scores, one.judged.labels) for one in stages}
    return {"history": {one.name: one.history for one in stages}, "matrices": matrices}


def _line(one: Trained, recipe: TransferRecipe, learner: TransferNetwork) -> dict[str, Any]:
    losses = [look["valid_loss"] for look in one.history]
    at = int(np.argmin(losses))
    return outcome.line(
        [one.judged],
        top=recipe.top,
        minimum_loss=losses[at],
        best_epoch=at + 1,
        valid_macro_f1=metrics.measure(one.valid.scores, one.valid.labels)["macro_f1"],
        seconds_to_best=one.history[at]["seconds"],
        seconds=one.history[-1]["seconds"],
        weights=learner.model.count_params(),
    )


def _about(recipe: TransferRecipe, pack: Pack, part: Part, best: Trained) -> str:
    what = recipe.about or f"Which of {len(pack.classes):,} classes a picture shows"
    beside = (
        f", with {', '.join(recipe.metadata)} joined after the pooling" if recipe.metadata else ""
    )
    weights = {"none": "weights by chance", "keras": "ImageNet's weights"}.get(
        recipe.network.weights, "weights of a file"
    )
    return (
        f"{what}: {recipe.network.backbone} with {weights}{beside}; the classifier learnt first, then the whole, on "
        f"{len(part.train):,} pictures; the best epoch, of stage {best.name}, was chosen on {len(part.valid):,} "
        "others, and it is judged on a third part. Near-duplicates, and pictures of one source, are in one part only."
    )
