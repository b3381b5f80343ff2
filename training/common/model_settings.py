"""The recipe sections of the sound models: [forest], [network] and [events]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from features.config import DEFAULT
from training.common.recipe import check, check_limits

ESTIMATORS = (
    "extra-trees", "gradient-boosting", "lightgbm", "neighbours", "logistic-regression",
    "linear-svm", "dense", "dense-dropout",
)  # fmt: skip
"""Models on the 26 features beside the forest; [estimators.NAME] has the settings of each."""
BACKBONE = "backbone"
"""A small model on the embeddings of the network at network.backbone."""
SHIPPED_BACKBONE = "timbre-sound"
"""The network that comes with Timbre, by which `sounds` does well with few recordings."""
MODELS = ("forest", "network", BACKBONE, *ESTIMATORS)
"""Models that a recipe for sound can train."""


def check_models(recipe: Any) -> None:
    """Raise RecipeError for a name in `models`, or of a section of [estimators], that is none."""
    known = bool(recipe.models) and set(recipe.models) <= set(MODELS)
    check(known, f"models={list(recipe.models)} must be some of {', '.join(MODELS)}")
    unknown = [name for name in recipe.estimators if name not in ESTIMATORS]
    check(
        not unknown,
        f"estimators.{''.join(unknown[:1])}: no such model; there is {', '.join(ESTIMATORS)}",
    )
    check(
        BACKBONE not in recipe.models or bool(recipe.network.backbone),
        f"models={list(recipe.models)}: {BACKBONE} needs network.backbone, the path of a network",
    )


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Scaler, PCA and random forest on the 26 features."""

    components: int
    """Principal components; 0: none, all features."""
    trees: int
    """Trees of the forest."""
    leaves: int
    """Maximum of leaves per tree, 0: none; the artefact's size follows from it."""
    min_samples_split: int | float
    """Minimum of windows in a node that is split; below 1 a share of all."""
    rows: int
    """Maximum of training windows, drawn at random."""
    criterion: str = "gini"
    """gini, entropy or log_loss."""
    max_depth: int = 0
    """Maximum depth of a tree, 0: none."""
    max_features: int | float | str = "sqrt"
    """Features tried at each node: sqrt, log2, a number, or as 0.5 or 1.0 a share."""
    min_samples_leaf: int | float = 1
    """Minimum of windows in a leaf; below 1 a share of all."""
    min_weight_fraction_leaf: float = 0.0
    """Minimum share of all weights in a leaf."""
    min_impurity_decrease: float = 0.0
    """Least gain of a split."""
    ccp_alpha: float = 0.0
    """Cost of a leaf when trees are pruned; 0: they are not."""
    bootstrap: bool = True
    """Whether each tree learns from windows drawn with replacement."""
    max_samples: int | float = 0
    """Windows drawn for each tree, or a share of all; 0: as many as there are."""
    oob_score: bool = False
    """Whether training windows are scored by the trees that did not draw them."""
    class_weight: str = ""
    """balanced or balanced_subsample: rare labels weigh more; empty: each window weighs the same.
    """

    def __post_init__(self) -> None:
        """Reject impossible settings."""
        (features,) = DEFAULT.shape("features")
        check_limits(self, "forest.", components=(0, features), trees=(1, 10_000))
        check_limits(self, "forest.", leaves=(0, math.inf), max_depth=(0, math.inf))
        check(self.leaves != 1, "forest.leaves=1 must be 0 (no limit), or at least 2")
        check_limits(self, "forest.", rows=(self.components + 1, math.inf))
        check_limits(self, "forest.", min_weight_fraction_leaf=(0, 0.5))
        check_limits(self, "forest.", min_impurity_decrease=(0, math.inf), ccp_alpha=(0, math.inf))
        for name, least in (("min_samples_split", 2), ("min_samples_leaf", 1), ("max_samples", 0)):
            _check_count(self, name, least)
        check(
            self.min_samples_leaf != 1.0 or isinstance(self.min_samples_leaf, int),
            "forest.min_samples_leaf=1.0 must be below 1, where it is a share",
        )
        self._check_choices()

    def _check_choices(self) -> None:
        for name, choices in {
            "criterion": ("gini", "entropy", "log_loss"),
            "class_weight": ("", "balanced", "balanced_subsample"),
        }.items():
            value = getattr(self, name)
            check(value in choices, f"forest.{name}={value!r} must be {' or '.join(choices)}")
        tried, (features,) = self.max_features, DEFAULT.shape("features")
        if isinstance(tried, str):
            right = tried in {"sqrt", "log2"}
        else:
            most = self.components or features
            right = 1 <= tried <= most if isinstance(tried, int) else 0 < tried <= 1
        check(
            right,
            f"forest.max_features={tried!r} must be sqrt, log2, a number of features up to "
            f"{self.components or features}, or a share such as 0.5",
        )
        check(
            self.bootstrap or not (self.oob_score or self.max_samples),
            "forest.oob_score and forest.max_samples go with forest.bootstrap=true",
        )

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of scikit-learn's RandomForestClassifier."""
        same = (
            "criterion", "max_features", "min_samples_split", "min_samples_leaf",
            "min_weight_fraction_leaf", "min_impurity_decrease", "ccp_alpha", "bootstrap",
            "oob_score",
        )  # fmt: skip
        none = {
            "max_depth": self.max_depth,
            "max_leaf_nodes": self.leaves,
            "max_samples": self.max_samples,
            "class_weight": self.class_weight,
        }
        return {
            "n_estimators": self.trees,
            **{name: getattr(self, name) for name in same},
            **{name: value or None for name, value in none.items()},
        }


def _check_count(section: Any, name: str, least: int) -> None:
    """Check a number of windows, or their share where it is a float."""
    value = getattr(section, name)
    share = isinstance(value, float)
    right = 0 < value <= 1 if share else least <= value
    check(
        right,
        f"forest.{name}={value} must be at least {least}, or a share of all windows, as 0.1",
    )


@dataclass(frozen=True, kw_only=True)
class Network:
    """Convolutions over the log-mel spectrogram."""

    channels: tuple[int, ...]
    """Channels of each layer."""
    strides: tuple[tuple[int, int], ...]
    """Stride of each layer, in bands and frames."""
    depth_db: float
    """Dynamic range: what is further below the loudest point of a window is clipped."""
    members: int
    """Networks of the ensemble, whose scores are averaged in one graph."""
    epochs: int
    """Passes over the training windows."""
    batch: int
    """Windows per step."""
    rate: float
    """Highest learning rate."""
    decay: float
    """Weight decay."""
    smoothing: float
    """Label smoothing: distance of targets from 0 and 1."""
    single: float
    """Weight of a softmax loss on windows with one label, beside the loss of each label."""
    blends: float
    """Mixup: share of windows that are mixed with another one."""
    tilt_db: float
    """Standard deviation in dB of random smooth changes over frequency."""
    shift: int
    """Maximum of bands by which a batch is shifted."""
    masks: float
    """SpecAugment: share of windows in which a stretch of bands or frames is masked."""
    rows: int = 0
    """Maximum of training windows, drawn at random; 0: all."""

    backbone: str = ""
    """ONNX network from a window to its embedding, by path or as the name of the shipped one,
    timbre-sound, which the model `backbone` of own recordings is made with."""

    def __post_init__(self) -> None:
        """Reject impossible settings."""
        steps = [*self.channels, *(step for pair in self.strides for step in pair)]
        fits = 0 < len(self.channels) == len(self.strides) and min(steps) >= 1
        check(
            fits,
            f"network.channels={list(self.channels)} and "
            f"strides={[list(pair) for pair in self.strides]} must be "
            f"whole numbers above 0, a pair of strides for each layer",
        )
        whole = dict.fromkeys(("members", "epochs", "batch"), (1, math.inf))
        shares = dict.fromkeys(("blends", "masks"), (0, 1)) | {"smoothing": (0, 0.49)}
        zero = dict.fromkeys(("decay", "single", "tilt_db", "shift", "rows"), (0, math.inf))
        check_limits(self, "network.", **whole, **shares, **zero, depth_db=(1, 200), rate=(1e-9, 1))


@dataclass(frozen=True, kw_only=True)
class Events:
    """How the events of labels are tuned, where recordings with known onsets are held out."""

    calibrate: bool = True
    """Whether `off`, `gap`, `min_length` and `rise` are chosen for each label; else they are the
    defaults."""
