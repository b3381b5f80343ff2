"""Recipes for small networks on pictures: every knob, and what no run can mean refused before it begins."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

from common.errors import Unprocessable
from features.config import Fit, PictureConfig, Resample
from models.manifest import NAME
from training.common.recipe import RecipeError
from training.pictures.dataset.folders import Layout

HEADS = ("flatten", "mean")
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "one-cycle")


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Where pictures come from and how they are decoded."""

    path: str = ""
    """A folder of LABEL/picture.jpg, a zip of one, or a pack; relative to the current folder, or to
    `data`."""
    layout: str = "label"
    """What the folders mean, from the root: label, source, _ for nothing."""
    source: str = ""
    """A regular expression; what its first group finds in the path is the source."""
    thing: str = ""
    """A regular expression; pictures of whose path its first group finds the same show the same
    thing."""
    height: int = 64
    """Pixels."""
    width: int = 64
    """Pixels."""
    fit: str = "squash"
    """crop, pad or squash."""
    resample: str = "box"
    """box, bilinear, bicubic or lanczos."""

    def config(self) -> PictureConfig:
        """Return how the pictures become tensors. Raises RecipeError."""
        fit: Fit = self.fit  # type: ignore[assignment]
        resample: Resample = self.resample  # type: ignore[assignment]
        try:
            return PictureConfig(height=self.height, width=self.width, fit=fit, resample=resample)
        except Unprocessable as error:
            raise RecipeError(f"pictures: {error}") from error

    def __post_init__(self) -> None:
        """Refuse what cannot be decoded or read."""
        self.config()
        Layout.parse(self.layout, self.source)
        try:
            groups = re.compile(self.thing).groups
        except re.error as error:
            raise RecipeError(
                f"pictures.thing={self.thing!r} is no regular expression: {error}"
            ) from error
        _check(not self.thing or groups > 0, f"pictures.thing={self.thing!r} has no group")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which pictures train, choose and judge. Near-duplicates, and pictures of one thing or source, stay together."""

    shares: tuple[float, ...] = (0.7, 0.15, 0.15)
    """Of the pictures, for training, validation and test."""
    by_source: bool = False
    """Whether each source in turn is left out, to judge on a source that no picture was seen of."""

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        fits = len(self.shares) == 3 and all(share > 0 for share in self.shares)
        _check(fits, f"split.shares={list(self.shares)} must be three numbers above 0")


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How training pictures are changed, anew in each epoch."""

    flip: bool = False
    """Left and right, every other time."""
    shift: float = 0.0
    """At most, as a share of the side."""
    scale: float = 0.0
    """At most, as a share of the size."""
    turn: float = 0.0
    """Degrees at most."""
    colour: float = 0.0
    """How far each channel's gain and offset may be from 1 and 0, and how far colours may fade."""
    background: float = 0.0
    """Share of pictures whose white becomes another colour."""
    noise: float = 0.0
    """Standard deviation at most, of 255."""

    def __post_init__(self) -> None:
        """Refuse changes that leave no picture."""
        amounts = {
            "shift": 0.5,
            "scale": 0.9,
            "turn": 180,
            "colour": 0.9,
            "background": 1,
            "noise": 128,
        }
        for name, most in amounts.items():
            value = getattr(self, name)
            _check(0 <= value <= most, f"augment.{name}={value} must lie between 0 and {most}")


@dataclass(frozen=True, kw_only=True)
class Network:
    """Convolutions, each with ReLU and 2 x 2 pooling, then one dense layer; and how it is trained."""

    name: str
    """In the table."""
    maps: tuple[int, ...]
    """Of each stage."""
    kernel: int = 3
    """Side of the convolutions."""
    repeat: int = 1
    """Convolutions in a stage, before its pooling."""
    norm: bool = True
    """Batch norm after each convolution."""
    dropout: float = 0.0
    """Share of the dense layer's inputs that are dropped."""
    head: str = "flatten"
    """What the dense layer sees: every place (flatten), or the mean over all places (mean)."""
    epochs: int = 20
    """Passes over the training pictures."""
    batch: int = 32
    """Pictures per step."""
    optimizer: str = "sgd"
    """sgd or adamw."""
    rate: float = 0.003
    """Learning rate; the highest of a schedule."""
    momentum: float = 0.3
    """Of sgd."""
    decay: float = 0.0
    """Weight decay of adamw."""
    schedule: str = "constant"
    """constant, or one-cycle: up in a straight line, down along a cosine."""
    smoothing: float = 0.0
    """How far targets stay away from 0 and 1."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        where = f"network {self.name!r}: "
        whole = {
            "kernel": self.kernel,
            "repeat": self.repeat,
            "epochs": self.epochs,
            "batch": self.batch,
        }
        for name, value in whole.items():
            _check(value >= 1, f"{where}{name}={value} must be at least 1")
        _check(self.kernel % 2 == 1, f"{where}kernel={self.kernel} must be odd")
        _check(
            bool(self.maps) and min(self.maps) >= 1,
            f"{where}maps={list(self.maps)} must name one stage or more",
        )
        _check(0 <= self.dropout < 1, f"{where}dropout={self.dropout} must lie between 0 and 1")
        _check(
            0 <= self.smoothing < 1, f"{where}smoothing={self.smoothing} must lie between 0 and 1"
        )
        _check(0 < self.rate < math.inf, f"{where}rate={self.rate} must be above 0")
        known = {"head": HEADS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
        for name, values in known.items():
            value = getattr(self, name)
            _check(value in values, f"{where}{name}={value!r} must be {' or '.join(values)}")


@dataclass(frozen=True, kw_only=True)
class CommonRecipe:
    """What every recipe on pictures says."""

    steps: str
    """The module in `training` that carries the recipe out."""
    name: str
    """Of the artefact."""
    about: str = ""
    """What the model tells; the first sentence of its report."""
    seed: int = 1
    """Of everything random."""
    data: str = ""
    """Folder that relative paths start from, where they are not below the current one; else
    $TIMBRE_DATA."""
    cache: str = ""
    """Folder for packed pictures and unfinished work; else ~/.cache/timbre."""
    top: tuple[int, ...] = (1, 2, 3, 5)
    """How many guesses the tables count."""
    pictures: Pictures = field(default_factory=Pictures)
    split: Split = field(default_factory=Split)
    version: str = ""
    """Of the artefact; empty takes the one after the latest."""
    provenance: tuple[dict[str, str], ...] = ()
    """source, licence, use of the pictures, and of the network where it is another's."""
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Named changes: dotted key to value."""
    profile: str = ""
    """One of them."""

    def __post_init__(self) -> None:
        """Refuse now what would be found out after the work. Raises RecipeError."""
        _check(
            NAME.fullmatch(self.name) is not None,
            f"name={self.name!r} must be lower-case words joined by hyphens",
        )
        _check(
            bool(self.top) and min(self.top) >= 1,
            f"top={list(self.top)} must name numbers of guesses",
        )
        complete = all({"source", "licence", "use"} == entry.keys() for entry in self.provenance)
        _check(complete, "each [[provenance]] says source, licence and use, and nothing else")
        by_source = (
            not self.split.by_source
            or self.pictures.source
            or "source" in self.pictures.layout.split("/")
        )
        _check(
            bool(by_source),
            "split.by_source wants sources: say pictures.source or a layout with source",
        )


@dataclass(frozen=True, kw_only=True)
class TrainedRecipe(CommonRecipe):
    """What every recipe that trains networks on pictures says."""

    jobs: int = 1
    """Threads."""
    class_weights: bool = True
    """Whether rare classes weigh as much as frequent ones."""
    augment: Augment = field(default_factory=Augment)

    def __post_init__(self) -> None:
        """Refuse what no training can mean. Raises RecipeError."""
        super().__post_init__()
        _check(self.jobs >= 1, f"jobs={self.jobs} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class PicturesRecipe(TrainedRecipe):
    """Everything that decides an artefact made from pictures by small networks, but the code."""

    networks: tuple[Network, ...]
    """Those that are compared; the best on the validation part becomes the artefact."""
    only: tuple[str, ...] = ()
    """Names of the networks to train; empty: all."""
    epochs: int = 0
    """Passes of every network; 0: as many as each says."""

    def chosen(self) -> list[Network]:
        """Return the networks to train."""
        some = [network for network in self.networks if not self.only or network.name in self.only]
        return [replace(network, epochs=self.epochs or network.epochs) for network in some]

    def __post_init__(self) -> None:
        """Refuse now what would be found out after the training. Raises RecipeError."""
        super().__post_init__()
        names = [network.name for network in self.networks]
        _check(
            bool(names) and len(set(names)) == len(names),
            "networks must be one or more, each named once",
        )
        unknown = set(self.only) - set(names)
        _check(
            not unknown,
            f"only: no network {', '.join(sorted(unknown))}; there is {', '.join(names)}",
        )
        _check(self.epochs >= 0, f"epochs={self.epochs} must not be negative")
        small = min(self.pictures.height, self.pictures.width)
        for network in self.networks:
            fits = small >> len(network.maps)
            _check(
                fits >= 1,
                f"network {network.name!r} halves {small} pixels {len(network.maps)} times: too often",
            )


def _check(holds: bool, message: str) -> None:  # noqa: FBT001
    if not holds:
        raise RecipeError(message)
