"""The settings of a recipe with `steps = "instruments"`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from training.common.model_settings import ESTIMATORS, Events, Forest, Network, check_models
from training.common.recipe import check, check_artefact, check_limits

NAMES = {
    "forest": "instruments-forest",
    "network": "instruments-net",
    **{name: f"instruments-{name}" for name in ESTIMATORS},
}
"""The artefact of each model."""
BEST = "instruments"
"""The second name of the model that generalises better."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Where sounds come from; paths are relative to `data`, absolute, or begin with ~."""

    folders: tuple[str, ...] = ()
    """Folders of LABEL/recordings; the folder's name is the source, so folders of one name are one
    source."""
    fonts: tuple[str, ...] = ()
    """Sound fonts to train and test with."""
    joined: dict[str, str] = field(default_factory=dict)
    """Fonts that are of the same source as a folder: each font's file name without its ending, and
    the name of the folder."""
    judges: tuple[str, ...] = ()
    """Sound fonts for evaluation only."""
    scores: tuple[str, ...] = ()
    """MusicXML or MIDI files, or folders of them."""
    ensemble: str = ""
    """A folder of recordings for a last test, never trained on."""
    ensemble_labels: tuple[str, ...] = ()
    """Labels that sound in the ensemble."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many windows of each kind; the fields of `training.notes.window_set.Spec`."""

    note: int
    """Windows of single notes, per source and label."""
    solo: int
    """Windows of phrases, per source and label."""
    mix: int
    """Mixtures, per source."""
    score: int
    """Mixtures from scores, per source."""
    across: int
    """Mixtures across sources."""
    silence: int
    """Windows of silence, per family of noises."""
    noise: int
    """Windows of noise, per family of noises."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A finished network that the network of all sources goes on from.

    Those that leave a source out begin anew: a finished one may have been trained on it.
    """

    graph: str = ""
    """Path, as in [material], of its model.onnx; empty: every network begins anew."""
    epochs: int = 3
    """Passes over the training windows from there."""
    rate: float = 1e-3
    """Highest learning rate from there."""


@dataclass(frozen=True, kw_only=True)
class InstrumentsRecipe:
    """Everything that decides an artefact, but the code."""

    steps: str
    """The pipeline that runs the recipe, a name of training.common.recipe.PIPELINES."""
    data: str = ""
    """Folder that material paths start from; else the environment's TIMBRE_DATA, else
    ../shared/data."""
    cache: str = ""
    """Folder for windows and tensors that may be used again; else ~/.cache/timbre."""
    seed: int = 1
    """Seed of everything random."""
    jobs: int = 2
    """Number of processes or threads."""
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
    mixtures: float = 0.0
    """Share of a source's weight in the choice of thresholds that its windows of several labels
    have; 0: by their number."""
    least: dict[str, float] = field(default_factory=dict)
    """Lowest thresholds by label, where the calibrated ones are known to be too low."""
    teacher: str = ""
    """Path, as in [material], of a network for embeddings of sound (ONNX, from `mel` to
    `embedding`), by which small networks give soft targets; empty: networks learn the labels."""
    teacher_share: float = 0.7
    """Share of the teacher in the targets; the rest is the labels."""
    models: tuple[str, ...] = ("forest", "network")
    """Models to train, some of training.common.model_settings.MODELS."""
    estimators: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of other models than forest and network, by the names of their library."""
    version: str = ""
    """Version of the artefacts; empty takes the one after the latest."""
    material: Material
    train: Counts
    test: Counts
    events: Events = field(default_factory=Events)
    forest: Forest
    network: Network
    start: Start = field(default_factory=Start)
    provenance: tuple[dict[str, str], ...] = ()
    """source, licence, use of everything in [material]."""
    links: dict[str, str] = field(default_factory=dict)
    """Where people may look labels up: the name of a site, and a URL with {label} in it."""
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Named changes: dotted key to value."""

    @property
    def artefact_names(self) -> tuple[str, ...]:
        """The names of the artefacts that the recipe writes."""
        return (BEST, *(NAMES[model] for model in self.models))

    def __post_init__(self) -> None:
        """Check the settings before the training. Raises RecipeError."""
        check_models(self)
        check(not self.network.backbone, "network.backbone is for recordings of your own")
        check_limits(self, "", mixtures=(0, 1), teacher_share=(0, 1))
        check_limits(self.start, "start.", epochs=(1, math.inf), rate=(1e-9, 1))
        check_artefact(self)
