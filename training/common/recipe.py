"""Recipes: one TOML file with every knob, one dataclass that reads it, and `key=value` changes on top."""

from __future__ import annotations

import importlib
import math
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from common.errors import InputError, NotFound
from common.mapping import read_settings, split_assignment
from features.config import DEFAULT

FOLDER = Path(__file__).parents[1] / "recipes"
PIPELINES = {
    "instruments": "training.pipelines.instruments",
    "sounds": "training.pipelines.sounds",
    "picture-networks": "training.pipelines.picture_networks",
    "picture-transfer": "training.pipelines.picture_transfer",
    "picture-svm": "training.pipelines.picture_svm",
}
"""The module behind each name that `steps` may have: names last, in recipes and in manifests;
modules move."""
ALIASES = {
    "training.instruments": "instruments",
    "training.sounds": "sounds",
    "training.pictures.small": "picture-networks",
    "training.pictures.transferred": "picture-transfer",
    "training.pictures.described": "picture-svm",
}
"""What `steps` was called when the first artefacts were made."""


class RecipeError(InputError):
    """A recipe holds something that is no setting, or a value of another type."""

    title = "Bad recipe"


def check(holds: bool, message: str) -> None:  # noqa: FBT001
    """Raise RecipeError with the message unless it holds."""
    if not holds:
        raise RecipeError(message)


def check_limits(section: Any, where: str, **limits: tuple[float, float]) -> None:
    """Raise RecipeError for the first number that does not lie from the lowest to the highest; NaN never does."""
    for name, (low, high) in limits.items():
        value = getattr(section, name)
        span = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        check(low <= value <= high and value < math.inf, f"{where}{name}={value} must be {span}")


@dataclass(frozen=True, kw_only=True)
class Material:
    """Where sounds come from. Paths are relative to `data` unless they are absolute or begin with ~."""

    folders: tuple[str, ...] = ()
    """Folders of LABEL/recordings; the folder's name is the source, so folders of one name are one
    source."""
    fonts: tuple[str, ...] = ()
    """Sound fonts to train and judge with."""
    judges: tuple[str, ...] = ()
    """Sound fonts to judge with only."""
    scores: tuple[str, ...] = ()
    """MusicXML or MIDI files, or folders of them."""
    ensemble: str = ""
    """A folder of recordings for a last look, never trained on."""
    ensemble_labels: tuple[str, ...] = ()
    """Which labels play there."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many windows of each kind; the fields of `training.notes.window_set.Spec`."""

    note: int
    """Per source and label."""
    solo: int
    """Per source and label."""
    mix: int
    """Per source."""
    score: int
    """Per source."""
    across: int
    """Mixtures across sources."""
    silence: int
    """Per family of noises."""
    noise: int
    """Per family of noises."""


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Scaler, PCA and random forest on the 26 features."""

    components: int
    """Kept by the PCA."""
    trees: int
    """In the forest."""
    leaves: int
    """At most, per tree; the artefact's size follows from it."""
    min_samples_split: int
    """Windows that a node needs to be split."""
    rows: int
    """Training windows at most, drawn at random."""

    def __post_init__(self) -> None:
        """Refuse what no forest can be."""
        (features,) = DEFAULT.shape("features")
        many = dict.fromkeys(("leaves", "min_samples_split"), (2, math.inf))
        check_limits(self, "forest.", components=(1, features), trees=(1, 10_000), **many)
        check_limits(self, "forest.", rows=(self.components + 1, math.inf))


@dataclass(frozen=True, kw_only=True)
class Network:
    """Convolutions over the log-mel spectrogram."""

    channels: tuple[int, ...]
    """Of each layer."""
    strides: tuple[tuple[int, int], ...]
    """Of each layer, in bands and frames."""
    depth_db: float
    """Below the loudest point of a window nothing is heard."""
    members: int
    """Networks whose scores are averaged, in one graph."""
    epochs: int
    """Passes over the training windows."""
    batch: int
    """Windows per step."""
    rate: float
    """Highest learning rate."""
    decay: float
    """Weight decay."""
    smoothing: float
    """How far targets stay away from 0 and 1."""
    single: float
    """Weight of naming the one instrument of a window beside judging every label by itself."""
    blends: float
    """Share of windows that are mixed with another one."""
    tilt_db: float
    """Standard deviation of random smooth changes over frequency."""
    shift: int
    """Bands, at most, by which a batch is moved."""
    masks: float
    """Share of windows in which a stretch of bands or frames is blanked."""

    def __post_init__(self) -> None:
        """Refuse what no network can be."""
        steps = [*self.channels, *(step for pair in self.strides for step in pair)]
        fits = 0 < len(self.channels) == len(self.strides) and min(steps) >= 1
        check(
            fits,
            f"network.channels={list(self.channels)} and strides={[list(pair) for pair in self.strides]} must be "
            f"whole numbers above 0, a pair of strides for each layer",
        )
        whole = dict.fromkeys(("members", "epochs", "batch"), (1, math.inf))
        shares = dict.fromkeys(("blends", "masks"), (0, 1)) | {"smoothing": (0, 0.49)}
        zero = dict.fromkeys(("decay", "single", "tilt_db", "shift"), (0, math.inf))
        check_limits(self, "network.", **whole, **shares, **zero, depth_db=(1, 200), rate=(1e-9, 1))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides an artefact, but the code."""

    steps: str
    """The pipeline that runs the recipe, one of PIPELINES."""
    data: str = ""
    """Folder that material paths start from; else the environment's TIMBRE_DATA, else
    ../shared/data."""
    cache: str = ""
    """Folder for windows and tensors that may be used again; else ~/.cache/timbre."""
    seed: int = 1
    """Of everything random."""
    jobs: int = 2
    """Processes or threads."""
    holdout: tuple[str, ...] = ()
    """Sources that must not be trained on."""
    profile: str = ""
    """One of [profiles]: a set of changes by name."""
    evaluate: bool = True
    """Whether to leave one source out in turn. Without it thresholds are 0.5 and the metrics empty.
    """
    quiet: float = 0.99
    """Share of noise and silence windows that must get no label."""
    beta: float = 1.0
    """Thresholds have the best F-beta: below 1 a false label weighs more than a missing one."""
    least: dict[str, float] = field(default_factory=dict)
    """Lowest thresholds by label, where the calibrated ones are known to be too low."""
    models: tuple[str, ...] = ("forest", "network")
    """Which of the two to make."""
    version: str = ""
    """Of the artefacts; empty takes the one after the latest."""
    material: Material
    train: Counts
    test: Counts
    forest: Forest
    network: Network
    provenance: tuple[dict[str, str], ...] = ()
    """source, licence, use of everything in [material]."""
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Named changes: dotted key to value."""


def load(name: str, changes: typing.Iterable[str] = ()) -> Any:
    """Return the recipe of that name (or TOML file) with its profile and the `key=value` changes applied.

    It is a `Recipe`, or what the pipeline that `steps` names has as RECIPE. A recipe that says
    `base = NAME` needs only what differs from that one. A key is dotted (`network.epochs=3`);
    values are TOML, or plain text for texts; a list may be a,b,c. Raises NotFound for an unknown
    recipe, RecipeError for anything in it that is no setting.
    """
    table = _table(name)
    pairs = [split_assignment(change, error=RecipeError) for change in changes]
    profile = dict(pairs).get("profile", table.get("profile", ""))
    if profile and profile not in table.get("profiles", {}):
        raise RecipeError(
            f"no profile {profile!r}; there is {', '.join(table.get('profiles', {}))}"
        )
    for key, value in [*table.get("profiles", {}).get(profile, {}).items(), *pairs]:
        _put(table, key, value)
    table["steps"] = _steps(table.get("steps"))
    kind = getattr(pipeline(table["steps"]), "RECIPE", Recipe)
    return read_settings(kind, table, where="recipe", error=RecipeError)


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
            f"steps={value!r} must be one of {there}; or say base = NAME of a shipped recipe"
        )
    return name


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(".")
    for part in outer:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{key}: {part} is not a section")
    table[last] = value
