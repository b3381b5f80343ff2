"""The sections of a recipe that describe a collection of sounds and its table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from training.common.model_settings import (
    BACKBONE,
    SHIPPED_BACKBONE,
    Events,
    Forest,
    Network,
    check_models,
)
from training.common.recipe import check, check_artefact, check_limits

LENGTHS = (0.5, 15.0)
"""Seconds, shortest and longest window."""
KINDS = ("folders", "csv", "audacity", "musicnet", "scores", "mixtures")
TABLES = ("features", "log_mel", "samples")


@dataclass(frozen=True, kw_only=True)
class CollectionSpec:
    """Where the clips are, and in which form."""

    kind: str = "folders"
    """folders (LABEL/file or SOURCE/LABEL/file), csv, audacity, musicnet, scores or mixtures."""
    path: str = ""
    """A folder; the list itself for csv; for musicnet also its .h5 or .npz file."""
    encoding: str = ""
    """Encoding of lists and label tracks that are not UTF-8 or UTF-16, such as cp1252."""
    labels: tuple[str, ...] = ()
    """Labels there must be, in the order of the scores; empty: all that are found, sorted."""
    background: tuple[str, ...] = ()
    """Labels, or folders, of background: their clips are examples without any label."""
    nothing: float = 0.0
    """Noise and silence that are made here, as examples without any label: their share of the
    collection's hours."""
    group: tuple[str, ...] = ("composer", "composition", "ensemble", "source")
    """Columns of MusicNet's metadata that together make one source."""
    fonts: tuple[str, ...] = ()
    """Sound fonts that play scores; empty: all that the system has."""
    into: str = ""
    """Folder for what is played or made; else ~/.cache/timbre/rendered."""
    longest: float = 120.0
    """Seconds of a score that are played."""

    def __post_init__(self) -> None:
        """Validate the collection settings. Raises RecipeError."""
        check(
            self.kind in KINDS, f"collection.kind={self.kind!r} must be one of {', '.join(KINDS)}"
        )
        check(
            1 <= self.longest <= 3600, f"collection.longest={self.longest} must be from 1 to 3600 s"
        )
        check_limits(self, "collection.", nothing=(0, 1))
        twice = [label for label in self.labels if self.labels.count(label) > 1]
        check(not twice, f"collection.labels names {twice[0] if twice else ''!r} twice")


@dataclass(frozen=True, kw_only=True)
class WindowSpec:
    """How clips are cut, and when a label counts."""

    length: float = 2.0
    """Seconds of one window, 0.5 to 15."""
    hop: float = 1.0
    """Seconds between the beginnings of windows."""
    share: float = 0.5
    """Part of the window in which a label must sound to be on; of the clip, where that is shorter.
    """
    shortest: float = 0.1
    """Seconds; shorter clips are not used. From here to `length`, silence fills the window."""
    active: bool = False
    """Whether windows of recordings with a label are cut where something sounds, and not from the
    beginning of the file; a sound shorter than a window is in the middle of one."""

    def __post_init__(self) -> None:
        """Validate the window settings. Raises RecipeError."""
        low, high = LENGTHS
        check(
            low <= self.length <= high,
            f"windows.length={self.length} must be from {low} to {high} s",
        )
        check(0.01 <= self.hop <= high, f"windows.hop={self.hop} must be from 0.01 to {high} s")
        check(0 < self.share <= 1, f"windows.share={self.share} must be above 0 and at most 1")
        check(
            0 < self.shortest <= self.length,
            f"windows.shortest={self.shortest} must be above 0, at most the length",
        )

    @property
    def rule(self) -> str:
        """The label rule in words, for manifests and reports."""
        return (
            f"a label is on when it sounds in at least {self.share:g} of the "
            f"{self.length:g}-s window "
            f"(of the clip, where that is shorter)"
        )


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """How sources are divided."""

    shares: tuple[float, ...] = (0.7, 0.15, 0.15)
    """Shares of the hours for training, validation and test; they add up to 1."""
    given: str = ""
    """A split of one's own: a CSV file (path, part), or a folder of train.txt, val.txt, test.txt;
    empty: that of the collection, if it has one (folders train, val, test, those lists, a column
    part); own: also MusicNet's; none: by the shares. Parts that are missing are cut from train."""

    def __post_init__(self) -> None:
        """Validate the shares. Raises RecipeError."""
        fits = (
            len(self.shares) == 3
            and all(share >= 0 for share in self.shares)
            and math.isclose(sum(self.shares), 1)
        )
        check(
            fits and self.shares[0] > 0,
            f"split.shares={list(self.shares)} must be three parts that add up to 1",
        )


@dataclass(frozen=True, kw_only=True)
class AugmentSpec:
    """Copies of training windows."""

    variants: tuple[str, ...] = ()
    """One copy of every training window per name, in this order; names of
    training.recordings.augment."""
    background: str = ""
    """A folder of sounds for the variant background_mask; without it, coloured noise."""


@dataclass(frozen=True, kw_only=True)
class OthersSpec:
    """Sounds that are none of the labels, for which "none of these" is the answer."""

    share: float = 0.0
    """Share of other sounds that must get no label: thresholds are raised until it is met, and the
    report says what that and other shares cost; 0: they decide nothing."""
    path: str = ""
    """A folder of such sounds, beside the generated noise, tones, beats and what is like speech and
    music."""

    def __post_init__(self) -> None:
        """Validate the share. Raises RecipeError."""
        check_limits(self, "others.", share=(0, 1))
        check(
            not self.path or self.share > 0,
            f"others.path={self.path} needs others.share, such as 0.9",
        )


@dataclass(frozen=True, kw_only=True)
class SoundsRecipe:
    """Everything that decides an artefact made from labelled recordings, but the code."""

    steps: str
    """The pipeline that runs the recipe, a name of training.common.recipe.PIPELINES."""
    name: str = "sounds"
    """Name of the artefact."""
    seed: int = 1
    """Seed of everything random."""
    jobs: int = 2
    """Number of processes."""
    cache: str = ""
    """Folder for tables that may be used again; else ~/.cache/timbre."""
    collection: CollectionSpec = field(default_factory=CollectionSpec)
    windows: WindowSpec = field(default_factory=WindowSpec)
    split: SplitSpec = field(default_factory=SplitSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    models: tuple[str, ...] = ("forest",)
    """Some of training.common.model_settings.MODELS; the best on the validation part is written."""
    estimators: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of other models than forest and network, by the names of their library."""
    quiet: float = 0.99
    """Share of windows without any label that must get none, where there are such windows."""
    others: OthersSpec = field(default_factory=OthersSpec)
    version: str = ""
    """Version of the artefact; empty takes the one after the latest."""
    events: Events = field(default_factory=Events)
    forest: Forest
    network: Network
    provenance: tuple[dict[str, str], ...] = ()
    """source, licence, use of the collection."""
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
        """Validate the settings before the training. Raises RecipeError."""
        check_artefact(self)
        given = self.network.backbone not in {"", SHIPPED_BACKBONE}
        if given and BACKBONE not in self.models:
            # Who names a network wants it tried, beside the others.
            object.__setattr__(self, "models", (*self.models, BACKBONE))
        check_models(self)
        check_limits(self, "", jobs=(1, math.inf), seed=(0, 2**32 - 1), quiet=(0, 1))
