"""Few pictures: a frozen network and support vector machines, where fine-tuning would not pay."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.common.recipe import check
from training.pictures.dataset.settings import CommonRecipe
from training.pictures.embeddings import svm
from training.pipelines import picture_svm
from training.pipelines.picture_svm import DescribedRecipe, Frozen

if TYPE_CHECKING:
    from training.common.progress import Stage
    from training.pictures.dataset.folds import Fold
    from training.pictures.dataset.packed import Pack
    from training.pictures.transfer.transfer_settings import TransferRecipe


def check_path(recipe: TransferRecipe) -> None:
    """Raise RecipeError for a frozen network that is not there."""
    path = Path(recipe.few.path).expanduser()
    check(not recipe.few.path or path.exists(), f"few.path: no file {path}")


def reason(recipe: TransferRecipe, pack: Pack, fold: Fold) -> str:
    """Return why the network stays frozen: fewer training pictures of a class than few.pictures.

    That is the median of the classes. Empty where there are enough, and where a frozen network
    cannot do what the recipe asks for, which is printed.
    """
    counts = np.bincount(pack.labels[fold.train], minlength=len(pack.classes))
    median = float(np.median(counts))
    if median >= recipe.few.pictures:
        return ""
    why = (
        f"{median:g} training pictures of a class (median), fewer than {recipe.few.pictures} "
        "(few.pictures)"
    )
    lacks = {
        "metadata": bool(recipe.metadata),
        "several networks": bool(recipe.networks),
        "a search": bool(recipe.search.minutes),
        "save_weights": bool(recipe.save_weights),
        "a split without a test part": not fold.tested,
    }
    hinders = [f"{name} needs it" for name, is_so in lacks.items() if is_so]
    if hinders := hinders or _too_many(pack, fold):
        print(f"{why}, but fine-tuned all the same: {hinders[0]}")
        return ""
    return f"{why}: the network is frozen, not fine-tuned"


def _too_many(pack: Pack, fold: Fold) -> list[str]:
    """Return the limits of support vector machines that are passed."""
    classes, pictures, most = len(pack.classes), len(fold.train) + len(fold.valid), svm.Grid().most
    limits = {
        f"{classes:,} classes need it, for at most {svm.MAX_CLASSES:,} can have a machine each": (
            classes > svm.MAX_CLASSES
        ),
        f"{pictures:,} training pictures need it, for machines learn from at most {most:,}": (
            pictures > most
        ),
    }
    return [limit for limit, passed in limits.items() if passed]


def run(
    recipe: TransferRecipe, pack: Pack, fold: Fold, why: str, out: Path, stage: Stage
) -> list[Path]:
    """Train on the frozen network; return the folders of the artefact and of its report."""
    print(why)
    described = described_recipe(recipe)
    picture_svm.check_learnable(described, pack, [fold])
    return picture_svm.train(described, pack, [fold], out, stage, why=why)


def described_recipe(recipe: TransferRecipe) -> DescribedRecipe:
    """Return the recipe of a frozen network with the same pictures and split."""
    common = {each.name: getattr(recipe, each.name) for each in fields(CommonRecipe)}
    few, own = recipe.few, recipe.network
    network = (
        Frozen(path=few.path, layer=few.layer)
        if few.path
        else Frozen(path=own.weights, backbone=own.backbone)
    )
    # Its profiles change settings that this one has not.
    changed = {"steps": "picture-svm", "profiles": {}, "profile": "", "network": network}
    return DescribedRecipe(**common | changed)
