"""Which recipe a path means, and the cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import NotFound
from training.common.paths import cache_root

if TYPE_CHECKING:
    from training.recordings.settings import SoundsRecipe


def recipe_of(spec: str, changes: list[str]) -> SoundsRecipe:
    """Return the recipe of a SPEC: its file, or the shipped `sounds` on a folder or a file."""
    from training.common.recipe import FOLDER, RecipeError, load
    from training.recordings.settings import SoundsRecipe

    path = Path(spec)
    if not path.exists() and not (FOLDER / f"{spec}.toml").is_file():
        raise NotFound(f"no folder, file or recipe {spec!r}")
    if spec.endswith(".toml") or not path.exists():
        recipe = load(spec, changes)
        if not isinstance(recipe, SoundsRecipe):
            raise RecipeError(f"{spec} is not a recipe with a [collection]")
        return recipe
    kind = {".csv": "csv", ".h5": "musicnet", ".hdf5": "musicnet", ".npz": "musicnet"}.get(
        path.suffix.lower()
    )
    if (path / "train_data").is_dir() or (path / "test_data").is_dir():
        kind = "musicnet"
    recipe = load(
        "sounds", [f"collection.path={spec}", f"collection.kind={kind or 'folders'}", *changes]
    )
    assert isinstance(recipe, SoundsRecipe)
    return recipe


def cache_of(recipe: SoundsRecipe) -> Path:
    """Return the folder of what may be used again."""
    return cache_root(recipe.cache) / "tables"
