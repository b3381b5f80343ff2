"""Settings of a training as clients send them, checked and turned into `key=value`.

A training reads every relative path below the folder of collections, so each text that a setting
holds, whatever it means, is checked as if it were a path: it must stay there.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import Unprocessable
from common.strict_json import to_json

RECIPE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
KEY = re.compile(r"\w+(\.\w+)*", re.ASCII)
BARE = re.compile(r"[\w-]+", re.ASCII)
MAX_SETTINGS, MAX_KEY, MAX_VALUE, MAX_DEPTH = 64, 100, 10_000, 6
"""Number of settings, characters of a key and of a value, lists within lists."""
OWN = {
    "steps": "the recipe decides it",
    "profiles": "set the keys themselves",
    "base": "name the recipe itself",
    "name": "it has a field of its own",
    "version": "the next one is taken",
    "data": "paths are those below the folder of collections",
    "cache": "the server has one",
    "save_weights": "nothing is written but the artefact",
    "collection.into": "the server has a folder for it",
}
"""Settings that requests may not change, and why."""


def assignments(settings: Mapping[str, Any], folder: Path) -> list[str]:
    """Return settings as `key=value` for `timbre train --set`. Raises Unprocessable.

    folder: that of the collections, without links.
    """
    if len(settings) > MAX_SETTINGS:
        raise Unprocessable(f"{len(settings)} settings, at most {MAX_SETTINGS} are accepted")
    pairs, looked = [], dict[Path, Path | None]()
    for key, value in settings.items():
        _check_key(key)
        for text in _texts(value, key):
            _check_inside(text, key, folder, looked)
        # In TOML's own form a text may hold lists; plain, it is only a text.
        written = value if isinstance(value, str) else _toml(value)
        if len(written) > MAX_VALUE:
            raise Unprocessable(
                f"{key} has {len(written)} characters, at most {MAX_VALUE} are accepted"
            )
        pairs.append(f"{key}={written}")
    return pairs


def _check_key(key: str) -> None:
    if len(key) > MAX_KEY or not KEY.fullmatch(key):
        raise Unprocessable(
            f"setting {key!r:.{MAX_KEY}} must be words joined by dots, {MAX_KEY} characters at most"
        )
    section = key.partition(".")[0]
    if why := OWN.get(key) or (section in OWN and OWN[section]):
        raise Unprocessable(f"setting {key!r} cannot be set here: {why}")


def _texts(value: Any, key: str, depth: int = 0) -> Iterator[str]:
    """Yield every text of a value, the names in it included. Raises Unprocessable."""
    if depth > MAX_DEPTH:
        raise Unprocessable(f"{key} has more than {MAX_DEPTH} lists within each other")
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not BARE.fullmatch(name):
                raise Unprocessable(f"{key}: {name!r:.80} must be a word")
            yield from _texts(item, key, depth + 1)
    elif not isinstance(value, int | float) or not math.isfinite(value):
        raise Unprocessable(f"{key}={value!r:.80} must be text, a number, true, false or a list")


def _check_inside(text: str, key: str, folder: Path, looked: dict[Path, Path | None]) -> None:
    """Raise Unprocessable for a text that, as a path, would leave the folder.

    looked: links out of what was looked through already, by folder.
    """
    if not text.isprintable():
        raise Unprocessable(f"{key}={text!r:.80} has unprintable characters")
    if text.lstrip()[:1] in ("[", "{"):
        raise Unprocessable(f"{key}={text!r:.80} must be sent as a list or object of JSON")
    # A setting that is a list reads a text with commas as one.
    for part in {text, *text.split(",")}:
        path = part.strip().strip("\"'").strip().replace("\\", "/")
        if path.startswith("~"):
            raise Unprocessable(f"{key}={part!r:.80} is outside of the folder of collections")
        try:
            real = (folder / path).resolve()
            inside = real.is_relative_to(folder)
            if path and inside and real not in looked:
                looked[real] = _link_out(real, folder)
        except (OSError, RuntimeError, ValueError) as error:
            raise Unprocessable(f"{key}={part!r:.80} cannot be a path: {error!s:.200}") from error
        if not inside or ".." in path.split("/"):
            raise Unprocessable(f"{key}={part!r:.80} is outside of the folder of collections")
        if link := looked.get(real):
            raise Unprocessable(
                f"{key}={part!r:.80} has a link to outside of the folder of collections: "
                f"{link.relative_to(folder)}"
            )


def _link_out(path: Path, root: Path) -> Path | None:
    """Return a link below a folder that leads out of `root`, or None."""
    try:
        if not path.is_dir():
            return None
    except OSError:  # too long a name: nothing can be there
        return None
    for above, folders, files in os.walk(path):
        for name in (*folders, *files):
            one = Path(above, name)
            if one.is_symlink() and not one.resolve().is_relative_to(root):
                return one
    return None


def _toml(value: Any) -> str:
    """Return a checked value as TOML, whose texts, numbers and lists are those of JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return to_json(value, ensure_ascii=False)
