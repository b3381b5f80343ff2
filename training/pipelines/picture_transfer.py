"""Recipes for transfer learning: trains the classifier of a backbone, then all of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from common.errors import Unprocessable
from features.config import Metadata, PictureConfig
from features.picture import facts as metadata_facts
from training.common.errors import MaterialError
from training.pictures.dataset.folds import check, counts, make_folds, print_counts, split_csv
from training.pictures.dataset.obtain import obtain
from training.pictures.learn import backbones, live_curves, metrics, result
from training.pictures.learn.checkpoints import checkpoint_folder, remove_checkpoints, training_key
from training.pictures.learn.network import LIBRARIES, keras_on_torch, softmax, temperature
from training.pictures.transfer.transfer_settings import SearchSettings, TransferRecipe
from training.pipelines import picture_few

if TYPE_CHECKING:
    from training.common.progress import Stage
    from training.evaluation.metrics import Metrics
    from training.pictures.dataset.folds import Fold
    from training.pictures.dataset.packed import Pack
    from training.pictures.learn.fit import TrainingData
    from training.pictures.learn.history import EpochMetrics
    from training.pictures.transfer.transfer import TransferNetwork
    from training.pictures.transfer.transfer_settings import StageSettings

RECIPE = TransferRecipe
"""What `training.common.recipe.load` reads these recipes as."""
MOVED = ("layer", "part", "squared difference", "share of the squares before")
DRAWN = ("layer", "squared difference", "part")


@dataclass(frozen=True)
class Candidate:
    """One trained network, with the weights of its best stage."""

    name: str
    """"" for the only one."""
    recipe: TransferRecipe
    config: PictureConfig
    material: TrainingData
    learner: TransferNetwork
    trained: list[Trained]
    """Its stages, the best first."""
    tables: dict[str, dict[str, Any]]

    def titled(self, stage: Trained) -> str:
        """Return the name of a stage in tables."""
        return f"{self.name} {stage.name}".strip()

    def rows(self) -> dict[str, Metrics]:
        """Return the rows of its stages in the table of networks, the best first."""
        return {
            self.titled(stage): _row(stage, self.recipe, self.learner) for stage in self.trained
        }


@dataclass(frozen=True)
class Trained:
    """The result of a stage."""

    name: str
    history: list[EpochMetrics]
    weights: list[npt.NDArray[Any]]
    temperature: float
    tests: list[metrics.Evaluation]
    """The first one counts; the second one is without optional metadata."""
    valid: metrics.Evaluation


def check_recipe(recipe: TransferRecipe) -> None:
    """Raise RecipeError for what is not installed or not there, before anything is read."""
    live_curves.check(tensorboard=recipe.tensorboard)
    picture_few.check_path(recipe)


def run(recipe: TransferRecipe, out: Path, stage: Stage) -> list[Path]:
    """Run the recipe and return the folders of the artefact and of its report."""
    check_recipe(recipe)
    keras_on_torch(threads=recipe.jobs)
    pack, fold = _divided(recipe, stage)
    if why := picture_few.reason(recipe, pack, fold):
        return picture_few.run(recipe, pack, fold, why, out, stage)
    checkpoints: list[Path] = []
    (first, *others) = recipe.chosen().items()
    best = _candidate(*first, pack, fold, checkpoints, stage)
    found = [(best.rows(), _histories(best))]
    for name, own in others:
        candidate = _candidate(name, own, pack, fold, checkpoints, stage)
        found.append((candidate.rows(), _histories(candidate)))
        # Only the best network is kept in memory.
        best = min(best, candidate, key=lambda one: _rank(one.rows()))
    found.sort(key=lambda one: _rank(one[0]))
    with stage("artefact and report"):
        made = result.write(_result(best, pack, fold, found), out)
    if recipe.save_weights:
        backbones.save(best.learner.backbone, Path(recipe.save_weights).expanduser())
    remove_checkpoints(checkpoints)
    return made


def _rank(rows: dict[str, Metrics]) -> tuple[float, float]:
    """Return what orders networks, the best first. rows: of its stages, the best first."""
    row = next(iter(rows.values()))
    return -row["valid_macro_f1"], row["minimum_loss"]


def _histories(candidate: Candidate) -> dict[str, list[EpochMetrics]]:
    """Return the epochs of each stage, in the order of the training."""
    stages = sorted(candidate.trained, key=lambda stage: stage.name != "head")
    return {candidate.titled(stage): stage.history for stage in stages}


def _candidate(
    name: str,
    recipe: TransferRecipe,
    pack: Pack,
    fold: Fold,
    checkpoints: list[Path],
    stage: Stage,
) -> Candidate:
    """Return one network, trained. checkpoints: extended with its files."""
    from training.pictures.transfer.transfer import build

    config = config_of(recipe, pack)
    material = material_of(recipe, pack, fold, config)
    named = f"{name}: " if name else ""
    with stage(f"{named}{recipe.network.backbone}, weights: {recipe.network.weights}"):
        size = {"height": config.height, "width": config.width}
        learner = build(
            recipe.network, labels=len(pack.classes), extra=config.extra, seed=recipe.seed, **size
        )
    before = [array.copy() for array in learner.model.get_weights()]
    recipe, tables = _searched(recipe, learner, material, stage)
    trained = _stages(recipe, learner, material, fold, checkpoints, stage)
    learner.model.set_weights(trained[0].weights)
    tables["How far weights moved"] = _moved(learner, before)
    return Candidate(name, recipe, config, material, learner, trained, tables)


def _divided(recipe: TransferRecipe, stage: Stage) -> tuple[Pack, Fold]:
    pack = obtain(recipe, stage)
    with stage("split"):
        fold = make_folds(recipe, pack)[-1]
    check(pack, [fold])
    print_counts(pack, fold)
    return pack, fold


def config_of(recipe: TransferRecipe, pack: Pack) -> PictureConfig:
    """Return how a picture becomes a tensor, with the metadata values that the pictures have."""
    named = pack.about["metadata"]
    if missing := [name for name in recipe.metadata if name not in named]:
        raise MaterialError(
            f"metadata {missing[0]!r} is missing in the pack, which has "
            f"{', '.join(named) or 'none'}"
        )
    columns = {
        name: sorted({picture.metadata[named.index(name)] for picture in pack.pictures})
        for name in recipe.metadata
    }
    try:
        fields = tuple(
            Metadata(name=name, values=tuple(values), required=recipe.required)
            for name, values in columns.items()
        )
        return replace(recipe.pictures.config(), metadata=fields)
    except Unprocessable as error:
        raise MaterialError(f"metadata: {error}") from error


def material_of(
    recipe: TransferRecipe, pack: Pack, fold: Fold, config: PictureConfig
) -> TrainingData:
    """Return the training data of a fold."""
    from training.pictures.learn.fit import TrainingData, class_weights

    named = pack.about["metadata"]
    given = [
        {name: picture.metadata[named.index(name)] for name in recipe.metadata}
        for picture in pack.pictures
    ]
    facts = np.array([metadata_facts(config, values) for values in given], np.uint8).reshape(
        len(given), config.extra
    )
    weights = class_weights(pack.labels[fold.train], len(pack.classes), alike=recipe.class_weights)
    fields = tuple(len(each.values) for each in config.metadata)
    missing = 0.0 if recipe.required or not fields else recipe.missing
    return TrainingData(
        pack.images, pack.labels, fold.train, fold.valid, weights, facts, fields, missing
    )


def _searched(
    recipe: TransferRecipe, learner: TransferNetwork, material: TrainingData, stage: Stage
) -> tuple[TransferRecipe, dict[str, dict[str, Any]]]:
    """Return the recipe with the best rates and resets, and the table of trials."""
    if not recipe.search.minutes:
        return recipe, {}
    from training.pictures.transfer.transfer_search import print_result, search

    key = _key(recipe, learner, material)
    journal = checkpoint_folder(recipe) / f"{recipe.name}-{key}-search.log"
    with stage(f"search: at most {recipe.search.minutes:g} minutes") as progress:
        found = search(recipe, learner, material, journal, progress)
    print_result(found)
    return replace(recipe, fine=found.fine, search=SearchSettings()), {"Search": found.table}


def _stages(
    recipe: TransferRecipe,
    learner: TransferNetwork,
    material: TrainingData,
    fold: Fold,
    checkpoints: list[Path],
    stage: Stage,
) -> list[Trained]:
    """Return the result of each stage, the best first. checkpoints: extended with its files."""
    from training.pictures.transfer.transfer import reset

    prefix = checkpoint_folder(recipe) / f"{recipe.name}-{_key(recipe, learner, material)}"
    curves = live_curves.Curves(prefix, name=recipe.name, tensorboard=recipe.tensorboard)
    done = []
    for name, settings in {"head": recipe.head, "fine": recipe.fine}.items():
        reset(learner, settings.resets, recipe.network, seed=recipe.seed + 1)
        checkpoints.append(prefix.with_name(f"{prefix.name}-{name}.pt"))
        history = _train(recipe, name, settings, learner, material, checkpoints[-1], curves, stage)
        done.append(_trained(recipe, name, history, learner, material, fold))
    curves.close()
    return sorted(done, key=lambda trained: min(epoch["valid_loss"] for epoch in trained.history))


def _train(
    recipe: TransferRecipe,
    name: str,
    settings: StageSettings,
    learner: TransferNetwork,
    material: TrainingData,
    checkpoint: Path,
    curves: live_curves.Curves,
    stage: Stage,
) -> list[EpochMetrics]:
    from training.pictures.learn.fit import Looks
    from training.pictures.transfer.transfer import train

    epochs = f"{settings.epochs} epoch{'s' * (settings.epochs > 1)}"
    with stage(f"{name}: at most {epochs} of {len(material.train):,} pictures") as progress:

        def report(history: list[EpochMetrics]) -> None:
            curves.update(name, history)
            progress(len(history), settings.epochs)

        history = train(
            learner,
            settings,
            recipe.augment,
            material,
            seed=recipe.seed,
            checkpoint=checkpoint,
            report=report,
            looks=Looks(recipe.looks, recipe.top),
        )
    curves.restore(name, history)
    return history


def _trained(
    recipe: TransferRecipe,
    name: str,
    history: list[EpochMetrics],
    learner: TransferNetwork,
    material: TrainingData,
    fold: Fold,
) -> Trained:
    (part, tested), fields = next(iter(fold.tests.items())), ", ".join(recipe.metadata)
    kinds = {part: material}
    if material.missing:
        named = "" if fold.tested else f"{part}, "
        bare = material.without_facts()
        kinds = {f"{named}with {fields}": material, f"{named}without {fields}": bare}
    logits = [learner.logits(kind, fold.valid) for kind in kinds.values()]
    labels = np.tile(material.labels[fold.valid], len(kinds))
    divisor = np.float32(temperature(np.concatenate(logits), labels))

    def evaluated(test_set: str, rows: npt.NDArray[np.int64]) -> metrics.Evaluation:
        scores = softmax(learner.logits(kinds.get(test_set, material), rows) / divisor)
        return metrics.Evaluation(fold.name, test_set, scores, material.labels[rows], rows)

    return Trained(
        name,
        history,
        learner.model.get_weights(),
        float(divisor),
        [evaluated(test_set, tested) for test_set in kinds],
        evaluated("valid", fold.valid),
    )


def _key(recipe: TransferRecipe, learner: TransferNetwork, material: TrainingData) -> str:
    arrays = (material.labels, material.facts, material.train, material.valid)
    sections = [
        asdict(section) for section in (recipe.network, recipe.head, recipe.fine, recipe.augment)
    ]
    settings = [sections, material.missing]
    return training_key(recipe, (*arrays, *learner.model.get_weights()), settings)


def _moved(learner: TransferNetwork, before: list[npt.NDArray[Any]]) -> dict[str, Any]:
    """Return how far the weights of each layer moved: the sum of squared differences."""
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


def _result(
    best: Candidate,
    pack: Pack,
    fold: Fold,
    found: list[tuple[dict[str, Metrics], dict[str, list[EpochMetrics]]]],
) -> result.Result:
    """Return the result. found: rows and histories of all networks, the best first."""
    from training.pictures.transfer.transfer import inputs
    from training.pictures.transfer.transfer_onnx import export, stacked

    recipe, config, material = best.recipe, best.config, best.material
    rows = result.golden_rows(fold.train, seed=recipe.seed)
    stages = sorted(best.trained, key=lambda stage: stage.name != "head")
    others = {name: epochs for _, each in found for name, epochs in each.items()}
    return result.Result(
        recipe,
        _about(best, pack, fold, len(found)),
        pack,
        config,
        best.trained[0].tests,
        {name: row for each, _ in found for name, row in each.items()},
        export(best.learner, config, best.trained[0].temperature, material, rows),
        stacked(material, rows, config),
        LIBRARIES,
        split_csv(pack, [fold]),
        tables=best.tables,
        counts=counts(pack, fold),
        history=_histories(best),
        others=others if len(found) > 1 else {},
        matrices={
            best.titled(stage): metrics.pairs(stage.tests[0].scores, stage.tests[0].labels)
            for stage in stages
        },
        heatmap=result.heatmap(
            pack, lambda row: (best.learner.model, inputs(material, np.array([row])))
        ),
    )


def _row(trained: Trained, recipe: TransferRecipe, learner: TransferNetwork) -> dict[str, Any]:
    return result.trained_row(
        trained.tests[:1],
        trained.history,
        top=recipe.top,
        valid_macro_f1=metrics.measure(trained.valid.scores, trained.valid.labels)["macro_f1"],
        weights=learner.model.count_params(),
    )


def _about(best: Candidate, pack: Pack, fold: Fold, count: int) -> str:
    recipe = best.recipe
    named = ", ".join(recipe.metadata)
    optional = "" if recipe.required else ", which may be missing,"
    beside = f", with {named}{optional} joined after the pooling" if named else ""
    weights = {"none": "random weights", "keras": "ImageNet's weights"}.get(
        recipe.network.weights, "weights of a file"
    )
    chosen = f", the best of {count} networks on one split" if count > 1 else ""
    return (
        f"{result.summary(recipe, pack)}: {recipe.network.backbone} with {weights}{beside}{chosen}"
        f"; the classifier was trained first, then the whole, on {len(fold.train):,} pictures; the "
        f"best epoch, of stage {best.titled(best.trained[0])}, was chosen on {len(fold.valid):,} "
        f"others, {result.judged(fold)}. Near-duplicates, and pictures of one source, are in one "
        "part only."
    )
