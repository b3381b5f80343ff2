"""Opens the pictures of a recipe as a pack; folders and zips are packed once, in the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zipfile
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from common.strict_json import to_json
from training.common.disk import cache_folder as stored_folder
from training.common.errors import MaterialError
from training.common.paths import cache_root, data_root
from training.pictures.dataset.folders import Layout, listing, picture_files, some
from training.pictures.dataset.pack import pack, warnings
from training.pictures.dataset.packed import is_pack, open_pack

if TYPE_CHECKING:
    from training.common.progress import Stage
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import CommonRecipe

MAX_BYTES, MAX_FILES = 100_000_000_000, 5_000_000
"""Limits of the content of a zip."""


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
    return cache_root(recipe.cache) / "pictures"


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
    if path.is_file():
        with stage(f"unzip {path.name}"):
            path = unzip(path, cache_folder(recipe), levels=len(layout.levels))
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


def unzip(archive: Path, cache: Path, *, levels: int = 1) -> Path:
    """Return the folder that a zip was extracted to, once. Raises MaterialError for an unsafe zip.

    levels: of folders above a picture; outer folders that hold everything are skipped.
    """
    state = archive.stat()
    key = hashlib.sha256(f"{archive} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:12]
    target = cache / f"{archive.stem}-{key}"
    if not target.is_dir():
        try:
            with stored_folder(target) as draft:
                _extract(archive, draft)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise MaterialError(f"{archive} cannot be read as a zip: {error}") from error
    deep = min((path.count("/") for path in picture_files(target)), default=levels)
    for _ in range(deep - levels):
        inside = [
            entry
            for entry in target.iterdir()
            if entry.is_dir() and not entry.name.startswith(("__", "."))
        ]
        target = inside[0] if len(inside) == 1 else target
    return target


def _extract(archive: Path, draft: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > min(MAX_BYTES, shutil.disk_usage(draft).free) or len(entries) > MAX_FILES:
            raise MaterialError(
                f"{archive} holds {len(entries):,} files of {total / 1e9:.1f} GB: "
                "not enough disk space"
            )
        for entry in entries:
            # Some programs of Windows write backslashes.
            entry.filename = entry.filename.replace("\\", "/")
            parts = PurePosixPath(entry.filename).parts
            if ".." in parts or entry.filename.startswith("/") or ":" in "".join(parts[:1]):
                raise MaterialError(f"{archive} holds {entry.filename!r}, a path outside of it")
            opened.extract(entry, draft)


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
