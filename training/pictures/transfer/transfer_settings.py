"""The settings of recipes for transfer learning, checked before a run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from common.mapping import read_settings, read_some_settings
from training.common.recipe import RecipeError, check
from training.pictures.dataset.folders import Layout
from training.pictures.dataset.settings import TrainedRecipe
from training.pictures.learn.backbones import GROUPS, POOLINGS, check_backbone

OPTIMIZERS = ("sgd", "adamw")
PARTS = (*GROUPS, "classifier")


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One stage of the training, with a learning rate for each part; 0 freezes it."""

    epochs: int = 10
    """Maximum of passes over the training pictures."""
    low: float = 0.0
    """Learning rate of the backbone's first third."""
    middle: float = 0.0
    """Learning rate of its second third."""
    high: float = 0.0
    """Learning rate of its last third."""
    classifier: float = 1e-3
    """Learning rate of the layers after the pooling."""
    resets: tuple[str, ...] = ()
    """Parts that begin with random weights: low, middle, high, classifier."""
    frozen: int = 0
    """First epochs in which only the classifier is trained."""
    one_cycle: bool = True
    """Whether rates rise in the first fifth of the stage and then fall to 0; else they stay."""
    patience: int = 3
    """Epochs without a lower validation loss after which the stage ends."""
    plateau: int = 2
    """Epochs without a lower validation loss after which rates are halved."""
    batch: int = 16
    """Pictures per step."""
    optimizer: str = "adamw"
    """sgd (momentum 0.9) or adamw."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        whole = {
            "epochs": self.epochs,
            "batch": self.batch,
            "patience": self.patience,
            "plateau": self.plateau,
        }
        for name, value in whole.items():
            check(value >= 1, f"{name}={value} must be at least 1")
        for name in PARTS:
            check(
                0 <= getattr(self, name) <= 10,
                f"{name}={getattr(self, name)} must lie between 0 and 10",
            )
        check(
            0 <= self.frozen <= self.epochs,
            f"frozen={self.frozen} must lie between 0 and epochs={self.epochs}",
        )
        check(
            self.optimizer in OPTIMIZERS,
            f"optimizer={self.optimizer!r} must be {' or '.join(OPTIMIZERS)}",
        )
        check(
            not set(self.resets) - set(PARTS),
            f"resets={list(self.resets)} must be some of {', '.join(PARTS)}",
        )


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network."""

    backbone: str = "resnet50"
    """A name of `training.pictures.learn.backbones`."""
    weights: str = "keras"
    """keras (ImageNet's, downloaded), none (random), or a .weights.h5, .h5 or .keras file."""
    pooling: str = "average"
    """How feature maps become a vector: average of each, or flatten (every number)."""
    dense: tuple[int, ...] = ()
    """Units of dense layers between pooling and classes."""
    dropout: float = 0.2
    """Share of the last layer's inputs that are dropped."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        check_backbone(self.backbone, self.weights)
        check(
            self.pooling in POOLINGS,
            f"network.pooling={self.pooling!r} must be {' or '.join(POOLINGS)}",
        )
        check(
            all(units >= 1 for units in self.dense),
            f"network.dense={list(self.dense)} must be 1 or more each",
        )
        check(0 <= self.dropout < 1, f"network.dropout={self.dropout} must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What one of several networks has besides the settings of a network."""

    name: str
    """Name of the network in tables."""
    alone: bool = False
    """Whether it gets the picture without its metadata."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The search for rates and resets of [fine] before the training."""

    minutes: float = 0.0
    """Time limit; 0 for no search. A trial that runs then ends after its epoch."""
    trials: int = 100
    """Maximum of trials."""
    epochs: int = 3
    """Epochs of a trial."""
    lowest: float = 1e-6
    """Lowest learning rate."""
    highest: float = 1e-1
    """Highest learning rate."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        check(0 <= self.minutes < float("inf"), f"search.minutes={self.minutes} must be 0 or more")
        for name, value in {"trials": self.trials, "epochs": self.epochs}.items():
            check(value >= 1, f"search.{name}={value} must be at least 1")
        ordered = 0 < self.lowest < self.highest <= 10
        check(
            ordered,
            f"search.lowest={self.lowest} and highest={self.highest} must rise from above 0 to "
            "at most 10",
        )


@dataclass(frozen=True, kw_only=True)
class Few:
    """What few pictures get instead: a frozen network and support vector machines."""

    pictures: int = 0
    """Training pictures of a class, in the median of the classes, below which the network is not
    fine-tuned; 0: it always is."""
    path: str = ""
    """The frozen network, an ONNX, .keras or .h5 file; empty: that of [network], with its weights.
    """
    layer: str = ""
    """The layer of `path` whose output describes a picture; empty: as for clip-art-svm."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        check(self.pictures >= 0, f"few.pictures={self.pictures} must be 0 or more")
        check(
            not self.path or self.pictures > 0,
            f"few.path={self.path} needs few.pictures, such as 20",
        )


@dataclass(frozen=True, kw_only=True)
class TransferRecipe(TrainedRecipe):
    """The settings of an artefact made by transfer learning."""

    metadata: tuple[str, ...] = ()
    """Metadata of the picture, of the names in pictures.layout; joins the pooled vector."""
    required: bool = True
    """Whether a request must name the metadata. If not, the network learns to do without too."""
    missing: float = 0.5
    """Share of training pictures that are shown without it, where it is not required."""
    tensorboard: bool = False
    """Whether to write TensorBoard's files beside the curves; needs tensorboard."""
    save_weights: str = ""
    """A .weights.h5 file for the backbone's weights at the end, which network.weights of another
    training takes."""
    network: Network = field(default_factory=Network)
    networks: tuple[dict[str, Any], ...] = ()
    """Candidates on one split: name, alone (true: the picture without its metadata), and settings
    of [network] that differ. The best on the validation part becomes the artefact."""
    only: tuple[str, ...] = ()
    """Names of the candidates to train; empty: all."""
    head: StageSettings = field(default_factory=StageSettings)
    fine: StageSettings = field(default_factory=StageSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    few: Few = field(default_factory=Few)

    def chosen(self) -> dict[str, TransferRecipe]:
        """Return the recipe of each network to train by its name; without candidates, one of "".

        Raises RecipeError for a candidate that cannot be.
        """
        if not self.networks:
            return {"": self}
        own = {one.name: (one, network) for one, network in map(self._candidate, self.networks)}
        return {
            name: replace(
                self,
                network=network,
                networks=(),
                only=(),
                metadata=() if one.alone else self.metadata,
            )
            for name, (one, network) in own.items()
            if not self.only or name in self.only
        }

    def _candidate(self, table: dict[str, Any]) -> tuple[Candidate, Network]:
        """Return a candidate and its network, as [network] where its table says nothing else."""
        named = {one.name for one in fields(Candidate)}
        own = {key: value for key, value in table.items() if key in named}
        one = read_settings(Candidate, own, where="networks", error=RecipeError)
        rest = {key: value for key, value in table.items() if key not in named}
        try:
            changes = read_some_settings(Network, rest, error=RecipeError)
            return one, replace(self.network, **changes)
        except RecipeError as error:
            raise RecipeError(f"network {one.name}: {error}") from error

    def _check_candidates(self) -> None:
        names = [one.name for one, _ in map(self._candidate, self.networks)]
        check(
            all(names) and len(set(names)) == len(names),
            "networks must be named, each once",
        )
        unknown = set(self.only) - set(names)
        check(
            not unknown,
            f"only: no network {', '.join(sorted(unknown))}; "
            f"networks: {', '.join(names) or 'none'}",
        )

    def __post_init__(self) -> None:
        """Check the settings before the training. Raises RecipeError."""
        self._check_candidates()
        super().__post_init__()
        named = Layout.parse(self.pictures.layout, self.pictures.source).metadata
        for name in self.metadata:
            check(
                name in named,
                f"metadata {name!r} is missing in pictures.layout={self.pictures.layout!r}",
            )
        check(
            not self.split.by_source,
            "split.by_source is for small networks; here sources stay on one side",
        )
        self.check_looks(max(self.head.epochs, self.fine.epochs))
        check(0 < self.missing < 1, f"missing={self.missing} must lie between 0 and 1")
        fits = not self.save_weights or self.save_weights.endswith(".weights.h5")
        check(fits, f"save_weights={self.save_weights!r} must end with .weights.h5")
        check(
            not any(getattr(self.head, part) for part in GROUPS),
            "[head] trains the classifier only",
        )
