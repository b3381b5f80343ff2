"""Opens the pictures of a recipe as a pack; folders and zips are packed once, in the cache."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.strict_json import to_json
from training.common.errors import MaterialError
from training.common.paths import data_root
from training.pictures.dataset.archive import folder_of, pictures_cache
from training.pictures.dataset.folders import Layout, listing, some
from training.pictures.dataset.pack import pack, warnings
from training.pictures.dataset.packed import is_pack, open_pack

if TYPE_CHECKING:
    from training.common.progress import Stage
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import CommonRecipe


def obtain(recipe: CommonRecipe, stage: Stage) -> Pack:
    """Return the recipe's pictures as a pack, which is made in the cache if necessary.

    Raises MaterialError without pictures, with fewer than two classes, and with two classes that
    differ only in case.
    """
    path = find(recipe)
    opened = (
        _check_config(open_pack(path), recipe) if is_pack(path) else _packed(path, recipe, stage)
    )
    if len(opened.classes) < 2:
        raise MaterialError(f"{path} has one class, {opened.classes[0]}: at least two are needed")
    return opened


def find(recipe: CommonRecipe) -> Path:
    """Return the path of the pictures. Raises MaterialError with the places that were searched."""
    wanted = Path(recipe.pictures.path).expanduser()
    if not recipe.pictures.path:
        raise MaterialError(
            "no pictures: name them, --set pictures.path=FOLDER (or a zip, or a pack)"
        )
    places = locate(wanted, recipe)
    found = [place for place in places if place.exists()]
    if not found:
        raise MaterialError(
            f"no folder, zip or pack {' or '.join(map(str, dict.fromkeys(places)))}"
        )
    return found[0].resolve()


def locate(path: Path, recipe: CommonRecipe) -> list[Path]:
    """Return where a file of a recipe may be: the current folder, then the folder of data."""
    return [path, data_root(recipe.data) / path]


def cache_folder(recipe: CommonRecipe) -> Path:
    """Return the folder for packs and checkpoints."""
    return pictures_cache(recipe.cache)


def _check_config(opened: Pack, recipe: CommonRecipe) -> Pack:
    config = json.loads(to_json(asdict(recipe.pictures.config())))
    if opened.about["config"] != config:
        raise MaterialError(
            f"the pack was made with {opened.about['config']}, the recipe has {config}"
        )
    return opened


def _packed(path: Path, recipe: CommonRecipe, stage: Stage) -> Pack:
    layout, config = (
        Layout.parse(recipe.pictures.layout, recipe.pictures.source),
        recipe.pictures.config(),
    )
    path = folder_of(path, stage, cache=recipe.cache, levels=len(layout.levels))
    with stage("list the pictures"):
        found = listing(path, layout)
    for warning in warnings(found, found.layout):
        print(warning, file=sys.stderr)
    files = [(picture.path, _changed(path / picture.path)) for picture in found.pictures]
    meaning = "/".join(found.layout.levels)
    key = to_json([str(path), files, meaning, recipe.pictures.source, config.fingerprint()])
    target = cache_folder(recipe) / f"{recipe.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not target.is_dir():
        with stage(f"pack {len(found.pictures):,} pictures") as progress:
            pack(found, target, config, metadata=layout.metadata, jobs=2, progress=progress)
    opened = open_pack(target)
    if opened.about["problems"]:
        print(
            f"{opened.about['problems']:,} files left out: {target / 'problems.csv'}",
            file=sys.stderr,
        )
    return replace(opened, root=path)


def _changed(path: Path) -> int:
    """Return when a file was changed, in nanoseconds; 0 for a link to a file that is gone."""
    return path.stat().st_mtime_ns if path.exists() else 0


def check(opened: Pack, train: list[int]) -> None:
    """Raise MaterialError for classes with too few pictures. train: labels of the training rows."""
    counts = Counter(opened.labels.tolist())
    singles = [name for number, name in enumerate(opened.classes) if counts[number] < 2]
    if singles:
        raise MaterialError(
            f"a single picture, too few for training and test: {some(singles)}; add others"
        )
    absent = sorted(set(range(len(opened.classes))) - set(train))
    if absent:
        names = some([opened.classes[number] for number in absent])
        raise MaterialError(
            f"no training picture of {names}: all are near-duplicates or of one source; add others"
        )
