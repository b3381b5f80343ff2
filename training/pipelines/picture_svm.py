"""Recipes with a frozen network: trains support vector machines on its descriptors."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.errors import MaterialError
from training.pictures.dataset.folds import (
    Fold,
    alike,
    counts,
    make_folds,
    print_counts,
    split_csv,
)
from training.pictures.dataset.obtain import cache_folder, locate, obtain
from training.pictures.dataset.settings import CommonRecipe
from training.pictures.embeddings import descriptors, svm, svm_onnx
from training.pictures.embeddings.layer_onnx import layer_graph
from training.pictures.embeddings.tsne_map import render_map
from training.pictures.learn import backbones, result
from training.pictures.learn.metrics import Evaluation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.store import Model
    from training.common.progress import Stage
    from training.pictures.dataset.packed import Pack

LIBRARIES = ("numpy", "scikit-learn", "onnx")
COMPARED_NOTE = "All are evaluated on the same pictures, which none of them was trained on."
COLUMNS = ("kernel", "C", "gamma", "top-1")


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """The frozen network whose layer gives the descriptors."""

    path: str = ""
    """An ONNX, .keras or .h5 file, or the folder of an artefact; relative to the current folder, or
    to `data`."""
    backbone: str = ""
    """The architecture, such as vgg19, if the file holds weights alone; `path` may then also be
    keras or none, as for network.weights of other recipes. It normalises pixels itself."""
    layer: str = ""
    """Its output is the descriptor; empty: of an ONNX network with a softmax what its last dense
    layer takes, else the last layer that is not only a reshape."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted from pixels of 0 to 255 if the network takes floats; one number or three."""
    scale: tuple[float, ...] = (255.0,)
    """Divisor of the pixels after that."""

    def __post_init__(self) -> None:
        """Check the backbone. Raises RecipeError."""
        if self.backbone:
            backbones.check_backbone(self.backbone, self.path)


@dataclass(frozen=True, kw_only=True)
class DescribedRecipe(CommonRecipe):
    """The settings of an artefact of a frozen network and support vector machines."""

    network: Frozen = field(default_factory=Frozen)
    svm: svm.Grid = field(default_factory=svm.Grid)
    map: bool = False
    """Whether map.html beside the report shows which pictures look alike to the network (t-SNE)."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        super().__post_init__()
        self.check_tested()


RECIPE = DescribedRecipe
"""What `training.common.recipe.load` reads these recipes as."""


def run(
    recipe: DescribedRecipe,
    out: Path,
    stage: Stage,
    *,
    compared: Mapping[str, Frozen | Model] = MappingProxyType({}),
) -> list[Path]:
    """Run the recipe and return the folders of the artefact and of its report.

    compared: by name, other frozen networks and trained models, evaluated on the same pictures for
    a table of the report.
    """
    graph = _graph(recipe, recipe.network)
    pack, folds = divided(recipe, stage)
    return train(recipe, pack, folds, out, stage, graph=graph, compared=compared)


def train(
    recipe: DescribedRecipe,
    pack: Pack,
    folds: list[Fold],
    out: Path,
    stage: Stage,
    *,
    graph: bytes = b"",
    compared: Mapping[str, Frozen | Model] = MappingProxyType({}),
    why: str = "",
) -> list[Path]:
    """Train on pictures that are split already; return the folders of artefact and report.

    graph: of the frozen network, if it is there. compared: as for `run`. why: the network is
    frozen, for the report.
    """
    graph = graph or _graph(recipe, recipe.network)
    x = _described(recipe, pack, graph, stage)
    beside, began = _map(recipe, pack, x, stage), time.monotonic()
    found, tests = _evaluated(recipe, pack, folds, x, stage)
    made = _result(
        recipe, pack, folds, tests, found[folds[-1].name], graph, time.monotonic() - began, why
    )
    made.beside.update(beside)
    if compared:
        others = {
            name: _evaluated(
                recipe, pack, folds, _described(recipe, pack, _graph(recipe, one), stage), stage
            )[1]
            if isinstance(one, Frozen)
            else _scored(one, pack, folds)
            for name, one in compared.items()
        }
        made.tables["Compared"] = _comparison(recipe, others | {"this artefact": tests})
    with stage("artefact and report"):
        return result.write(made, out)


def divided(recipe: DescribedRecipe, stage: Stage) -> tuple[Pack, list[Fold]]:
    """Return the pictures and their split. Raises MaterialError for what no machine can learn."""
    pack = obtain(recipe, stage)
    # Before the split, which too few pictures cannot be.
    svm.check_classes(pack.labels.astype(np.int64), pack.classes)
    with stage("split"):
        folds = make_folds(recipe, pack)
    print_counts(pack, folds[-1])
    check_learnable(recipe, pack, folds)
    return pack, folds


def check_learnable(recipe: DescribedRecipe, pack: Pack, folds: list[Fold]) -> None:
    """Raise MaterialError for pictures that no machine can learn."""
    svm.check_classes(pack.labels.astype(np.int64), pack.classes)
    svm.check_count(max(len(fold.train) + len(fold.valid) for fold in folds), recipe.svm)


def _graph(recipe: DescribedRecipe, network: Frozen) -> bytes:
    return layer_graph(
        _network(recipe, network),
        network.layer,
        mean=network.mean,
        scale=network.scale,
        size=(recipe.pictures.height, recipe.pictures.width),
        backbone=network.backbone,
    )


def _described(recipe: DescribedRecipe, pack: Pack, graph: bytes, stage: Stage) -> svm.Matrix:
    with stage(f"describe {len(pack.images):,} pictures") as progress:
        file = descriptors.extract(
            pack, graph, cache_folder(recipe) / "descriptors", progress=progress
        )
    return descriptors.read(file)


def _evaluated(
    recipe: DescribedRecipe, pack: Pack, folds: list[Fold], x: svm.Matrix, stage: Stage
) -> tuple[dict[str, svm.SearchResult], list[Evaluation]]:
    """Return by fold the best machine, and the tests of all."""
    groups = alike(recipe, pack)
    found = {fold.name: _search(recipe, fold, pack, x, groups, stage) for fold in folds}
    tests = [
        Evaluation(
            fold.name, test_set, found[fold.name].machine.scores(x[rows]), pack.labels[rows], rows
        )
        for fold in folds
        for test_set, rows in fold.tests.items()
    ]
    return found, tests


def _scored(model: Model, pack: Pack, folds: list[Fold]) -> list[Evaluation]:
    return [
        Evaluation(
            fold.name,
            test_set,
            descriptors.describe(model.session, pack.images[rows]),
            pack.labels[rows],
            rows,
        )
        for fold in folds
        for test_set, rows in fold.tests.items()
    ]


def _comparison(recipe: DescribedRecipe, tests: dict[str, list[Evaluation]]) -> dict[str, Any]:
    """Return the table of classifiers side by side: means over the first test set of each fold."""
    measured = {
        name: result.means_of(result.first_test_sets(of), top=recipe.top)
        for name, of in tests.items()
    }
    keys = [
        key
        for key in next(iter(measured.values()))
        if key.startswith("top") or key in {"macro_f1", "majority"}
    ]
    head = [key.replace("top", "top-").replace("macro_f1", "macro-F1") for key in keys]
    rows = [[name, *(found[key] for key in keys)] for name, found in measured.items()]
    return {"note": COMPARED_NOTE, "head": ("classifier", *head), "rows": rows}


def _map(recipe: DescribedRecipe, pack: Pack, x: svm.Matrix, stage: Stage) -> dict[str, str]:
    """Return map.html if the recipe wants it."""
    if not recipe.map:
        return {}
    with stage("map"):
        return {"map.html": render_map(pack, x, title=f"Map of {recipe.name}", seed=recipe.seed)}


def _network(recipe: DescribedRecipe, network: Frozen) -> Path:
    wanted = Path(network.path).expanduser()
    if not network.path:
        raise MaterialError(
            "no network: name the one that gives the descriptors, --set network.path=FILE "
            "(ONNX or Keras)"
        )
    if network.backbone and network.path in backbones.WITHOUT_FILE:
        return wanted
    return next((path for path in locate(wanted, recipe) if path.exists()), wanted)


def _search(
    recipe: DescribedRecipe,
    fold: Fold,
    pack: Pack,
    x: svm.Matrix,
    groups: svm.Labels,
    stage: Stage,
) -> svm.SearchResult:
    rows = np.concatenate([fold.train, fold.valid])
    labels = pack.labels[rows].astype(np.int64)
    if absent := set(range(len(pack.classes))) - set(labels.tolist()):
        raise MaterialError(f"no picture to learn {pack.classes[min(absent)]} from: add pictures")
    empty = [test_set for test_set, test in fold.tests.items() if not len(test)]
    if empty:
        raise MaterialError(
            f"no pictures for {', '.join(empty)}: too few to be split; add pictures"
        )
    sources = [pack.pictures[row].source for row in rows.tolist()]
    with stage(f"support vectors, {len(rows):,} pictures ({fold.name})") as progress:
        return svm.search(
            *(x[rows], labels, sources, recipe.svm),
            groups=groups[rows],
            seed=recipe.seed,
            progress=progress,
        )


def _result(
    recipe: DescribedRecipe,
    pack: Pack,
    folds: list[Fold],
    tests: list[Evaluation],
    best: svm.SearchResult,
    graph: bytes,
    seconds: float,
    why: str = "",
) -> result.Result:
    machine, fold = best.machine, folds[-1]
    name = f"frozen network + SVM ({machine.point.kernel})"
    known = {
        "seconds": seconds,
        "seconds_to_best": seconds,
        "weights": machine.weights.size + machine.support.size,
    }
    rows = result.golden_rows(fold.train, seed=recipe.seed)
    table = [
        [point.kernel, f"{point.cost:g}", f"{point.gamma:g}", rate] for point, rate in best.table
    ]
    note = f"Cross-validation, the best first; gamma is over {len(machine.mean):,}."
    return result.Result(
        recipe,
        _about(recipe, pack, fold, best) + (f" {why[0].upper()}{why[1:]}." if why else ""),
        pack,
        recipe.pictures.config(),
        tests,
        {name: result.candidate_row(result.first_test_sets(tests), top=recipe.top, **known)},
        svm_onnx.export(graph, machine),
        np.array(pack.images[rows]),
        LIBRARIES,
        split_csv(pack, folds),
        counts=counts(pack, fold),
        tables={"Search": {"note": note, "head": COLUMNS, "rows": table}},
    )


def _about(recipe: DescribedRecipe, pack: Pack, fold: Fold, best: svm.SearchResult) -> str:
    machine, point = best.machine, best.machine.point
    count = len(fold.train) + len(fold.valid)
    named = name_of(recipe.network)
    chosen = (
        "the first of the search, for no fold has a class on both of its sides"
        if best.table[0][1] is None
        else "chosen by cross-validation that leaves sources out where they are known, and never "
        "cuts through near-duplicates"
    )
    return (
        f"{result.summary(recipe, pack)}: descriptors of {len(machine.mean):,} numbers from "
        f"{named}, frozen, and one support vector machine for each class "
        f"on {len(machine.support):,} of {count:,} pictures ({point.kernel}, C {point.cost:g}, "
        f"gamma {point.gamma:g} / {len(machine.mean):,}), {chosen}. Tests are by "
        "machines that were searched for and trained in the same way, on pictures they never saw."
    )


def name_of(network: Frozen) -> str:
    """Return the name of a network, and of its weights where these are no network alone."""
    path = Path(network.path)
    file = path.name if path.suffix else "/".join(path.parts[-2:])
    return f"{network.backbone} (weights: {file})" if network.backbone else file
