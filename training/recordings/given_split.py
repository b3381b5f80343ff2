"""The split of a recipe: that of its collection or of lists, where there is one, or by shares."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.common.errors import MaterialError
from training.common.part_lists import lists_in, parts_of, read_parts
from training.recordings.collection import CollectionError
from training.recordings.split import PARTS, Split, by_source, divide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.recordings.collection import Clip, Collection
    from training.recordings.settings import SoundsRecipe

OWN, NONE = "own", "none"


def split_of(collection: Collection, recipe: SoundsRecipe) -> Split:
    """Return the part of each source, and print where it comes from if it is given.

    Raises CollectionError when a given split has a source in two parts, leaves clips out, or has
    none to train on; and as `by_source`.
    """
    clips, where = _given(collection, recipe)
    if not where:
        return by_source(collection, recipe.split.shares, seed=recipe.seed)
    part = _checked(clips, where)
    wanted = [name for name, share in zip(PARTS, recipe.split.shares, strict=True) if share]
    absent = [name for name in wanted if name not in part.values()]
    if absent:
        shares = [
            share if name in ("train", *absent) else 0.0
            for name, share in zip(PARTS, recipe.split.shares, strict=True)
        ]
        training = {source for source, name in part.items() if name == "train"}
        part |= by_source(_of(collection, training), _whole(shares), seed=recipe.seed).part
    if rest := set(collection.sources) - part.keys():
        shares = [
            share * (name in part.values())
            for name, share in zip(PARTS, recipe.split.shares, strict=True)
        ]
        part |= divide(_of(collection, rest), _whole(shares), seed=recipe.seed).part
    cut = f"; {' and '.join(absent)} cut from train" if absent else ""
    print(f"split: {where}{cut} (split.given=none for one by shares)", file=sys.stderr)
    return Split(part)


def _given(collection: Collection, recipe: SoundsRecipe) -> tuple[Sequence[Clip], str]:
    """Return the clips with their parts, and where these come from; "" if nowhere."""
    given, root = recipe.split.given, Path(recipe.collection.path).expanduser()
    clips = collection.clips
    if given == NONE:
        return clips, ""
    if given not in ("", OWN):
        return _by_lists(recipe, clips, Path(given).expanduser(), root)
    if lists_in(root):
        return _by_lists(recipe, clips, root, root)
    own = any(clip.part for clip in clips)
    if given == OWN and not own:
        raise CollectionError(
            "split.given=own: the collection has no parts: folders train, val and test, "
            "train.txt beside val.txt or test.txt, or a column part"
        )
    # MusicNet's test part shares pieces and players with its training part.
    if not own or (recipe.collection.kind == "musicnet" and given != OWN):
        return clips, ""
    return clips, f"as {root.name} has it"


def _by_lists(
    recipe: SoundsRecipe, clips: Sequence[Clip], lists: Path, root: Path
) -> tuple[Sequence[Clip], str]:
    folder = (root if root.is_dir() else root.parent).absolute()
    at = [number for number, clip in enumerate(clips) if folder in clip.path.parents]
    paths = [clips[number].path.relative_to(folder).as_posix() for number in at]
    try:
        unique = sorted(set(paths))
        listed = read_parts(lists, encoding=recipe.collection.encoding)
        found = dict(zip(unique, parts_of(unique, listed, where=str(lists)), strict=True))
    except MaterialError as error:
        raise CollectionError(str(error)) from error
    parted = list(clips)
    for number, path in zip(at, paths, strict=True):
        parted[number] = replace(clips[number], part=found[path])
    return parted, f"of {lists}"


def _checked(clips: Sequence[Clip], where: str) -> dict[str, str]:
    """Return part by source. Raises CollectionError."""
    sides: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.part:
            sides[clip.source].add(clip.part)
    if lost := [clip for clip in clips if not clip.part and (clip.labels or clip.source in sides)]:
        raise CollectionError(
            f"split {where}: {len(lost):,} clips are in no part, the first: {lost[0].path}"
        )
    if twice := [source for source, parts in sides.items() if len(parts) > 1]:
        raise CollectionError(
            f"split {where}: source {twice[0]!r} is in {' and '.join(sorted(sides[twice[0]]))}: a "
            "model would be tested on what it was trained on; put it into one part, or split by "
            "shares (split.given=none)"
        )
    part = {source: next(iter(parts)) for source, parts in sides.items()}
    if "train" not in part.values():
        raise CollectionError(f"split {where}: nothing to train on")
    return part


def _of(collection: Collection, sources: set[str]) -> Collection:
    return replace(
        collection, clips=tuple(clip for clip in collection.clips if clip.source in sources)
    )


def _whole(shares: Sequence[float]) -> list[float]:
    return [share / sum(shares) for share in shares]
