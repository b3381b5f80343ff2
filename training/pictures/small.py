"""Recipes with small networks: pictures -> pack -> parts -> each network trained and judged -> the best as artefact."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.artefact import write
from models.manifest import Label, Source
from training.material import MaterialError
from training.origin import origin
from training.pictures import judge
from training.pictures.histogram import text
from training.pictures.network import keras_on_torch
from training.pictures.obtain import cache_folder, check, obtain
from training.pictures.parts import WHOLE, Part, parts
from training.pictures.settings import PicturesRecipe
from training.reporting import pictures as report

if TYPE_CHECKING:
    from training.evaluate import Metrics
    from training.pictures.network import Fitted
    from training.pictures.packed import Pack
    from training.pictures.settings import Network

RECIPE = PicturesRecipe
"""What `training.recipe.load` reads these recipes as."""
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
LIBRARIES = ("numpy", "keras", "torch", "onnx")
GOLDEN = 16
THRESHOLD = 0.5
STATE = 1
"""Raised whenever unfinished trainings can no longer be gone on with."""


@dataclass(frozen=True)
class Candidate:
    """One network, trained for every part, and what is known of it."""

    network: Network
    fitted: dict[str, Fitted]
    """By the name of the part."""
    judged: list[judge.Judged]
    line: Metrics
    """Its row in the table of networks."""


def run(recipe: PicturesRecipe, out: Path, stage: Stage) -> list[Path]:
    """Carry the recipe out and return the folder of the artefact and that of its report."""
    keras_on_torch()
    import torch

    # More threads than asked for would fight over the same cores; and sums depend on how they are shared out.
    torch.set_num_threads(recipe.jobs)
    pack = obtain(recipe, stage)
    with stage("split"):
        every = parts(recipe, pack)
    _check(pack, every)
    print(counted(pack, every[-1]), file=sys.stderr)
    kept: list[Path] = []
    candidates = [train(recipe, network, pack, every, kept, stage) for network in recipe.chosen()]
    candidates.sort(key=lambda one: (-one.line["valid_macro_f1"], one.line["minimum_loss"]))
    artefact = ship(recipe, candidates, pack, every, out)
    with stage("report"):
        written = report.write(artefact, facts(recipe, candidates, pack, every), _shown(pack))
    for file in kept:
        # With it, what a kill in the middle of writing left.
        for left in file.parent.glob(f"{file.stem}*"):
            left.unlink()
    return [artefact, written]


def _check(pack: Pack, every: list[Part]) -> None:
    for part in every:
        check(pack, pack.labels[part.train].tolist())
        wanting = [name for name, rows in {"valid": part.valid, **part.tests}.items() if not len(rows)]
        if wanting:
            raise MaterialError(
                f"no pictures for {', '.join(wanting)}: {len(pack.pictures):,} pictures in few sets of near-duplicates "
                f"or sources cannot be split; add pictures"
            )


def counted(pack: Pack, part: Part) -> str:
    """Return how many pictures of each class a training learns from, chooses by and is judged on, as a table."""
    rows = {"train": part.train, "valid": part.valid, **part.tests}
    counts = [np.bincount(pack.labels[some], minlength=len(pack.classes)) for some in rows.values()]
    return text(np.stack(counts, axis=1), pack.classes, list(rows))


def train(
    recipe: PicturesRecipe, network: Network, pack: Pack, every: list[Part], kept: list[Path], stage: Stage
) -> Candidate:
    """Return one network trained and judged for every part. kept: is told the files of unfinished trainings."""
    from training.pictures.fit import Material, class_weights, fit

    fitted, judged, valid = {}, [], []
    # Read once: rows in the order of chance would be read from disk one by one.
    images = np.array(pack.images)
    for part in every:
        labels = pack.labels[part.train]
        classes = len(pack.classes)
        weights = class_weights(labels, classes) if recipe.class_weights else np.ones(classes, np.float32)
        material = Material(images, pack.labels, part.train, part.valid, weights)
        kept.append(_file(recipe, network, pack, part))
        without = "" if part.name == WHOLE else f" without {part.name}"
        with stage(f"{network.name}{without}: {network.epochs} epochs of {len(labels):,} pictures") as progress:
            one = fit(network, recipe.augment, material, seed=recipe.seed, kept=kept[-1], progress=progress)
        fitted[part.name] = one
        for question, rows in part.tests.items():
            judged.append(judge.Judged(part.name, question, one.scores(images, rows), pack.labels[rows], rows))
        valid.append(judge.measure(one.scores(images, part.valid), pack.labels[part.valid], top=recipe.top))
    first = [measured for part in every for measured in _first(part, judged, recipe)]
    return Candidate(network, fitted, judged, _line(fitted[WHOLE], valid, first))


def _line(fitted: Fitted, valid: list[Metrics], tests: list[Metrics]) -> Metrics:
    from training.pictures.fit import best_epoch

    at = best_epoch(fitted.history)
    return {
        "minimum_loss": fitted.history[at - 1]["valid_loss"],
        "best_epoch": at,
        "valid_macro_f1": float(np.mean([one["macro_f1"] for one in valid])),
        "test_accuracy": float(np.mean([one["top1"] for one in tests])),
        "macro_f1": float(np.mean([one["macro_f1"] for one in tests])),
        "majority": float(np.mean([one["majority"] for one in tests])),
        "seconds_to_best": fitted.history[at - 1]["seconds"],
        "seconds": fitted.history[-1]["seconds"],
        "weights": fitted.model.count_params(),
    }


def _first(part: Part, judged: list[judge.Judged], recipe: PicturesRecipe) -> list[Metrics]:
    """Return the figures of the question that counts, if the part has one."""
    found = [one for one in judged if one.name == part.name and one.question == next(iter(part.tests), "")]
    return [judge.measure(one.scores, one.labels, top=recipe.top) for one in found]


def _file(recipe: PicturesRecipe, network: Network, pack: Pack, part: Part) -> Path:
    """Return the file of a training's state, named after all that decides the training."""
    digest = hashlib.sha256()
    for array in (pack.table.sha256, pack.labels, part.train, part.valid):
        digest.update(np.ascontiguousarray(array).tobytes())
    config = recipe.pictures.config().fingerprint()
    settings = [asdict(network), asdict(recipe.augment), recipe.seed, recipe.class_weights, config, STATE]
    digest.update(json.dumps(settings).encode())
    return cache_folder(recipe) / "trainings" / f"{recipe.name}-{digest.hexdigest()[:16]}.npz"


def metrics(recipe: PicturesRecipe, candidates: list[Candidate]) -> Metrics:
    """Return what the manifest says: the means of the best network, its tests, the table of all networks."""
    best = candidates[0]
    tests: dict[str, dict[str, Metrics]] = {}
    for one in best.judged:
        tests.setdefault(one.name, {})[one.question] = judge.measure(one.scores, one.labels, top=recipe.top)
    counted = [next(iter(questions.values())) for questions in tests.values()]
    keys = [key for key in counted[0] if key != "pictures"]
    mean = {key: float(np.mean([one[key] for one in counted])) for key in keys}
    return {"mean": mean, "tests": tests, "networks": {one.network.name: one.line for one in candidates}}


def ship(recipe: PicturesRecipe, candidates: list[Candidate], pack: Pack, every: list[Part], out: Path) -> Path:
    """Write the artefact of the best network and return its folder."""
    from training.pictures.network_onnx import export

    fitted = candidates[0].fitted[WHOLE]
    rows = np.sort(np.random.default_rng(recipe.seed).permutation(every[-1].train)[:GOLDEN])
    golden = np.array(pack.images[rows])
    return write(
        out,
        name=recipe.name,
        version=recipe.version or None,
        task="multi-class",
        kind="picture",
        config=recipe.pictures.config(),
        labels=[Label(name=name, threshold=THRESHOLD) for name in pack.classes],
        onnx=export(fitted, golden),
        golden_inputs=golden,
        report=report.markdown(facts(recipe, candidates, pack, every)),
        metrics=metrics(recipe, candidates),
        provenance=_provenance(recipe),
        libraries={library: version(library) for library in LIBRARIES},
        origin=origin(recipe),
    )


def _provenance(recipe: PicturesRecipe) -> list[Source]:
    nothing_said = {"source": Path(recipe.pictures.path).name, "licence": "not stated", "use": "training, evaluation"}
    given = recipe.provenance or (nothing_said,)
    return [Source(source=one["source"], licence=one["licence"], use=one["use"]) for one in given]


def facts(recipe: PicturesRecipe, candidates: list[Candidate], pack: Pack, every: list[Part]) -> dict[str, Any]:
    """Return all that the report shows, as JSON: lists, texts and numbers."""
    best = candidates[0]
    first = {(part.name, next(iter(part.tests), "")) for part in every}
    counted = [one for one in best.judged if (one.name, one.question) in first]
    scores, labels = (np.concatenate([getattr(one, what) for one in counted]) for what in ("scores", "labels"))
    top = max([k for k in recipe.top if k < len(pack.classes)], default=1)
    return {
        "name": recipe.name,
        "about": about(recipe, best, pack, every[-1]),
        "classes": pack.classes if len(pack.classes) <= judge.LARGEST_MATRIX else [],
        "top": top,
        **metrics(recipe, candidates),
        "labels": judge.by_class(scores, labels, pack.classes, top=top),
        "confusion": judge.matrix(scores, labels),
        "confused": judge.confused(scores, labels, pack.classes),
        "reliability": judge.calibration(counted),
        "mistakes": [{**one, "path": pack.pictures[one["row"]].path} for one in judge.mistakes(counted, pack.classes)],
        "history": {name: one.history for name, one in best.fitted.items()},
        "provenance": [dict(one) for one in _provenance(recipe)],
    }


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


def _shown(pack: Pack) -> Callable[[int], str]:
    from training.reporting.playable import pixels

    return lambda row: pixels(np.array(pack.images[row]))
