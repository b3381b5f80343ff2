"""Where the checkpoints of unfinished trainings are, and how they are named."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from common.strict_json import to_json
from training.pictures.dataset.obtain import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from training.pictures.dataset.settings import TrainedRecipe

LAYOUT = 2
"""Raised whenever older checkpoints can no longer be resumed."""


def checkpoint_folder(recipe: TrainedRecipe) -> Path:
    """Return the folder of all checkpoints."""
    return cache_folder(recipe) / "trainings"


def training_key(
    recipe: TrainedRecipe, arrays: Iterable[npt.NDArray[Any]], settings: list[Any]
) -> str:
    """Return a hash of everything that decides a training, for the name of its checkpoint.

    arrays: what it is trained on. settings: of network and training, in JSON.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    config = recipe.pictures.config().fingerprint()
    looks = [recipe.looks, recipe.top] if recipe.looks else []
    decides = [*settings, recipe.seed, recipe.class_weights, config, LAYOUT, *looks]
    digest.update(to_json(decides).encode())
    return digest.hexdigest()[:16]


def remove_checkpoints(checkpoints: Iterable[Path]) -> None:
    """Remove the checkpoints of trainings whose artefact is written."""
    for file in checkpoints:
        file.unlink(missing_ok=True)
