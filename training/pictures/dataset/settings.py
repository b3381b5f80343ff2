"""The settings of recipes for pictures, checked before a run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

from common.errors import Unprocessable
from features.config import Fit, PictureConfig, Resample
from training.common.recipe import RecipeError, check, check_artefact
from training.pictures.dataset.folders import Layout
from training.pictures.dataset.near_duplicates import DISTANCE, MAX_DISTANCE

HEADS = ("flatten", "mean")
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "one-cycle")
FLIPS = {"false": "", "true": "x", "horizontal": "x", "vertical": "y", "both": "xy"}
"""The axes along which pictures are mirrored."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Where pictures come from and how they are decoded."""

    path: str = ""
    """A folder of LABEL/picture.jpg, a zip of one, or a pack; relative to the current folder, or to
    `data`."""
    layout: str = "label"
    """Meaning of the folders from the root: label, source, _ for none."""
    source: str = ""
    """A regular expression; what its first group finds in the path is the source."""
    thing: str = ""
    """A regular expression; pictures with the same first group in their path show one thing."""
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
        """Check the settings. Raises RecipeError or MaterialError."""
        self.config()
        Layout.parse(self.layout, self.source)
        try:
            groups = re.compile(self.thing).groups
        except re.error as error:
            raise RecipeError(
                f"pictures.thing={self.thing!r} is not a regular expression: {error}"
            ) from error
        check(not self.thing or groups > 0, f"pictures.thing={self.thing!r} has no group")


@dataclass(frozen=True, kw_only=True)
class Split:
    """The split; near-duplicates, and pictures of one thing or source, stay together."""

    shares: tuple[float, ...] = (0.7, 0.15, 0.15)
    """Shares of the pictures for training, validation and test; without a test (0) the report has
    the scores of the validation part, and says so."""
    by_source: bool = False
    """Whether each source is left out in turn, to evaluate on an unseen source."""
    given: str = ""
    """A split of one's own: a CSV file (path, part), or a folder of train.txt, val.txt, test.txt;
    empty: folders train, val and test, or those lists, if the pictures have them; none: by the
    shares. Parts that are missing are cut from train."""
    distance: int = DISTANCE
    """Maximum Hamming distance of the 64-bit hashes of near-duplicates."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        check(
            0 <= self.distance <= MAX_DISTANCE,
            f"split.distance={self.distance} must lie between 0 and {MAX_DISTANCE}",
        )
        fits = len(self.shares) == 3 and min(self.shares[:2]) > 0 and self.shares[2] >= 0
        check(
            fits,
            f"split.shares={list(self.shares)} must be three numbers above 0; the last may be 0",
        )


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Augmentation of the training pictures, new in each epoch."""

    flip: Any = False
    """Mirror with probability 1/2: horizontal (or true: left and right), vertical, or both, each
    for itself."""
    shift: float = 0.0
    """Maximum, as a share of the side."""
    scale: float = 0.0
    """Maximum, as a share of the size."""
    turn: float = 0.0
    """Maximum rotation in degrees."""
    turned: float = 1.0
    """Share of pictures that are rotated."""
    colour: float = 0.0
    """Maximum change of each channel's gain and offset, and of the saturation."""
    background: float = 0.0
    """Share of pictures whose white gets a random colour."""
    noise: float = 0.0
    """Maximum standard deviation, of 255."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        check(
            str(self.flip).lower() in FLIPS,
            f"augment.flip={self.flip!r} must be one of {', '.join(FLIPS)}",
        )
        amounts = {
            "shift": 0.5,
            "scale": 0.9,
            "turn": 180,
            "turned": 1,
            "colour": 0.9,
            "background": 1,
            "noise": 128,
        }
        for name, most in amounts.items():
            value = getattr(self, name)
            check(0 <= value <= most, f"augment.{name}={value} must lie between 0 and {most}")

    @property
    def axes(self) -> str:
        """The axes along which pictures are mirrored: some of x and y."""
        return FLIPS[str(self.flip).lower()]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A small network of convolutions with ReLU and pooling and a dense layer, and its training."""

    name: str
    """Name of the network in tables."""
    maps: tuple[int, ...]
    """Feature maps of each stage."""
    kernel: int = 3
    """Side of the convolutions."""
    repeat: int = 1
    """Convolutions in a stage, before its pooling."""
    norm: bool = True
    """Batch norm after each convolution."""
    dropout: float = 0.0
    """Share of the dense layer's inputs that are dropped."""
    head: str = "flatten"
    """Input of the dense layer: every position (flatten), or their mean (mean)."""
    epochs: int = 20
    """Passes over the training pictures."""
    patience: int = 0
    """Epochs without a lower validation loss after which the training ends; 0: never."""
    batch: int = 32
    """Pictures per step."""
    optimizer: str = "sgd"
    """sgd or adamw."""
    rate: float = 0.003
    """Learning rate; the highest of a schedule."""
    momentum: float = 0.3
    """Momentum of sgd."""
    decay: float = 0.0
    """Weight decay of adamw."""
    schedule: str = "constant"
    """constant, or one-cycle: linear rise, cosine fall."""
    smoothing: float = 0.0
    """Label smoothing: distance of targets from 0 and 1."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        where = f"network {self.name!r}: "
        whole = {
            "kernel": self.kernel,
            "repeat": self.repeat,
            "epochs": self.epochs,
            "batch": self.batch,
        }
        for name, value in whole.items():
            check(value >= 1, f"{where}{name}={value} must be at least 1")
        check(self.kernel % 2 == 1, f"{where}kernel={self.kernel} must be odd")
        check(
            bool(self.maps) and min(self.maps) >= 1,
            f"{where}maps={list(self.maps)} must name one stage or more",
        )
        check(self.patience >= 0, f"{where}patience={self.patience} must not be negative")
        check(0 <= self.momentum < 1, f"{where}momentum={self.momentum} must lie between 0 and 1")
        check(0 <= self.dropout < 1, f"{where}dropout={self.dropout} must lie between 0 and 1")
        check(
            0 <= self.smoothing < 1, f"{where}smoothing={self.smoothing} must lie between 0 and 1"
        )
        check(0 < self.rate < math.inf, f"{where}rate={self.rate} must be above 0")
        known = {"head": HEADS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
        for name, values in known.items():
            value = getattr(self, name)
            check(value in values, f"{where}{name}={value!r} must be {' or '.join(values)}")


@dataclass(frozen=True, kw_only=True)
class CommonRecipe:
    """The settings of every recipe on pictures."""

    steps: str
    """The pipeline that runs the recipe, a name of training.common.recipe.PIPELINES."""
    name: str
    """Name of the artefact."""
    about: str = ""
    """What the model predicts; the first sentence of its report."""
    seed: int = 1
    """Seed of everything random."""
    data: str = ""
    """Folder of relative paths that are not below the current one; default: $TIMBRE_DATA."""
    cache: str = ""
    """Folder for packs and checkpoints; default: ~/.cache/timbre."""
    top: tuple[int, ...] = (1, 2, 3, 5)
    """The k of the top-k accuracies."""
    pictures: Pictures = field(default_factory=Pictures)
    split: Split = field(default_factory=Split)
    version: str = ""
    """Version of the artefact; default: the one after the latest."""
    provenance: tuple[dict[str, str], ...] = ()
    """source, licence and use of the pictures, and of a pre-trained network."""
    links: dict[str, str] = field(default_factory=dict)
    """Where people may look labels up: the name of a site, and a URL with {label} in it."""
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Named changes: dotted key to value."""
    profile: str = ""
    """One of the profiles."""

    @property
    def artefact_names(self) -> tuple[str, ...]:
        """The name of the artefact that the recipe writes."""
        return (self.name,)

    def __post_init__(self) -> None:
        """Check the settings before the run. Raises RecipeError."""
        check_artefact(self)
        check(
            bool(self.top) and min(self.top) >= 1,
            f"top={list(self.top)} must name numbers of guesses",
        )
        by_source = (
            not self.split.by_source
            or self.pictures.source
            or "source" in self.pictures.layout.split("/")
        )
        check(
            bool(by_source),
            "split.by_source needs sources: set pictures.source or a layout with source",
        )
        check(
            not (self.split.by_source and self.pictures.thing) or self.split.shares[2] > 0,
            "split.by_source with pictures.thing tests on new things: the last of "
            f"split.shares={list(self.split.shares)} must be above 0",
        )

    def check_tested(self) -> None:
        """Raise RecipeError unless a part of the pictures tests."""
        check(
            self.split.shares[2] > 0,
            f"split.shares={list(self.split.shares)}: machines have no epochs to choose, so that "
            "what is not trained on tests them; the last share must be above 0",
        )


@dataclass(frozen=True, kw_only=True)
class TrainedRecipe(CommonRecipe):
    """The settings of every recipe that trains networks on pictures."""

    jobs: int = 1
    """Threads."""
    class_weights: bool = True
    """Whether classes have equal weight in the loss."""
    looks: tuple[int, ...] = ()
    """Epochs, of each network or stage, after which top-k and macro-F1 on the validation part are
    measured and kept in the report, too."""
    augment: Augment = field(default_factory=Augment)

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        super().__post_init__()
        check(self.jobs >= 1, f"jobs={self.jobs} must be at least 1")
        check(
            min(self.looks, default=1) >= 1,
            f"looks={list(self.looks)} must be numbers of epochs, from 1 on",
        )

    def check_looks(self, epochs: int) -> None:
        """Raise RecipeError if a look is after the last epoch. epochs: of the longest training."""
        check(
            max(self.looks, default=0) <= epochs,
            f"looks={list(self.looks)} must lie within the {epochs} epochs of the training",
        )


@dataclass(frozen=True, kw_only=True)
class PicturesRecipe(TrainedRecipe):
    """The settings of an artefact made by small networks."""

    networks: tuple[Network, ...]
    """The candidates; the best on the validation part becomes the artefact."""
    only: tuple[str, ...] = ()
    """Names of the networks to train; empty: all."""
    epochs: int = 0
    """Epochs of every network; 0: those of each network."""
    patience: int = -1
    """Patience of every network; -1: that of each network."""

    def chosen(self) -> list[Network]:
        """Return the networks to train."""
        some = [network for network in self.networks if not self.only or network.name in self.only]
        return [
            replace(
                network,
                epochs=self.epochs or network.epochs,
                patience=network.patience if self.patience < 0 else self.patience,
            )
            for network in some
        ]

    def __post_init__(self) -> None:
        """Check the settings before the training. Raises RecipeError."""
        super().__post_init__()
        names = [network.name for network in self.networks]
        check(
            bool(names) and len(set(names)) == len(names),
            "networks must be one or more, each named once",
        )
        unknown = set(self.only) - set(names)
        check(
            not unknown,
            f"only: no network {', '.join(sorted(unknown))}; networks: {', '.join(names)}",
        )
        check(self.epochs >= 0, f"epochs={self.epochs} must not be negative")
        check(self.patience >= -1, f"patience={self.patience} must be -1 or more")
        self.check_looks(max(network.epochs for network in self.chosen()))
        small = min(self.pictures.height, self.pictures.width)
        for network in self.networks:
            fits = small >> len(network.maps)
            check(
                fits >= 1,
                f"network {network.name!r} halves {small} pixels {len(network.maps)} times: too "
                "often",
            )
