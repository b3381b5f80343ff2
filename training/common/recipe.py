"""Reads recipes: a TOML file, the changes of a profile and `key=value` changes, as a dataclass."""

from __future__ import annotations

import importlib
import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError, NotFound
from common.mapping import read_settings, split_assignment
from models.manifest import MAX_LINKS, NAME, VERSION
from training.common.label_links import are_templates

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

FOLDER = Path(__file__).parents[1] / "recipes"
PIPELINES = {
    "instruments": "training.pipelines.instruments",
    "sounds": "training.pipelines.sounds",
    "sound-backbone": "training.pipelines.sound_backbone",
    "picture-networks": "training.pipelines.picture_networks",
    "picture-transfer": "training.pipelines.picture_transfer",
    "picture-svm": "training.pipelines.picture_svm",
    "picture-retrained-svm": "training.pipelines.picture_retrained_svm",
}
"""The module of each name in `steps`. Recipes and manifests keep the names; modules may move."""
ALIASES = {
    "training.instruments": "instruments",
    "training.sounds": "sounds",
    "training.pictures.small": "picture-networks",
    "training.pictures.transferred": "picture-transfer",
    "training.pictures.described": "picture-svm",
}
"""Names of `steps` in older artefacts."""


class RecipeError(InputError):
    """A recipe has an unknown setting, or a value that is invalid."""

    title = "Bad recipe"


def check(condition: bool, message: str) -> None:  # noqa: FBT001
    """Raise RecipeError with the message unless the condition holds."""
    if not condition:
        raise RecipeError(message)


def check_limits(section: Any, where: str, **limits: tuple[float, float]) -> None:
    """Raise RecipeError for the first setting outside its limits (lowest, highest); NaN is."""
    for name, (low, high) in limits.items():
        value = getattr(section, name)
        span = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        check(low <= value <= high and value < math.inf, f"{where}{name}={value} must be {span}")


def check_artefact(recipe: Any) -> None:
    """Check name, version, provenance and links of the artefact that a recipe writes.

    Raises RecipeError for what the store would reject after the training.
    """
    for name in recipe.artefact_names:
        named = NAME.fullmatch(name) is not None
        check(named, f"name={name!r} must be lower-case words joined by hyphens")
    check(
        not recipe.version or VERSION.fullmatch(recipe.version) is not None,
        f"version={recipe.version!r} must be a positive integer",
    )
    complete = all({"source", "licence", "use"} == entry.keys() for entry in recipe.provenance)
    check(complete, "each [[provenance]] must have exactly source, licence and use")
    check(
        are_templates(recipe.links),
        f"links={dict(recipe.links)} must be at most {MAX_LINKS}, named, like "
        '{Wikipedia = "https://en.wikipedia.org/wiki/{label}"}',
    )


def load(name: str, changes: Iterable[str] = (), *, found: Iterable[tuple[str, Any]] = ()) -> Any:
    """Return the recipe of that name, or of a TOML file, as the RECIPE dataclass of its pipeline.

    A recipe with `base = NAME` needs only what differs from that one. changes: `key=value`, applied
    after the profile; keys are dotted (`network.epochs=3`), values are TOML or plain text, a list
    may be a,b,c. found: keys and values applied between profile and changes. Raises NotFound for an
    unknown recipe, RecipeError for an invalid one.
    """
    table = _table(name)
    pairs = [split_assignment(change, error=RecipeError) for change in changes]
    profile = dict(pairs).get("profile", table.get("profile", ""))
    if profile and profile not in table.get("profiles", {}):
        raise RecipeError(
            f"no profile {profile!r}; there is {', '.join(table.get('profiles', {}))}"
        )
    for key, value in [*table.get("profiles", {}).get(profile, {}).items(), *found, *pairs]:
        _put(table, key, value)
    table["steps"] = _steps(table.get("steps"))
    return read_settings(pipeline(table["steps"]).RECIPE, table, where="recipe", error=RecipeError)


def pipeline(steps: str) -> ModuleType:
    """Return the module that runs recipes with these `steps`."""
    return importlib.import_module(PIPELINES[steps])


def _table(name: str, *, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise NotFound(f"no recipe {name!r}; there is {there}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    base = table.pop("base", None)
    if base in seen:
        raise RecipeError(f"{path}: base {base!r} goes in a circle")
    return _over(_table(base, seen=(*seen, base)), table) if base else table


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    sections = [key for key in below.keys() & above.keys() if isinstance(below[key], dict)]
    inner = {key: _over(below[key], above[key]) for key in sections if isinstance(above[key], dict)}
    return below | above | inner


def _steps(value: Any) -> str:
    name = ALIASES.get(value, value) if isinstance(value, str) else None
    if name not in PIPELINES:
        there = ", ".join(PIPELINES)
        raise RecipeError(
            f"steps={value!r} must be one of {there}; or set base = NAME of a shipped recipe"
        )
    return name


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(".")
    for part in outer:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{key}: {part} is not a section")
    table[last] = value
