"""The recipe sections of the two sound models: [forest] and [network]."""

from __future__ import annotations

import math
from dataclasses import dataclass

from features.config import DEFAULT
from training.common.recipe import check, check_limits


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Scaler, PCA and random forest on the 26 features."""

    components: int
    """Principal components."""
    trees: int
    """Trees of the forest."""
    leaves: int
    """Maximum of leaves per tree; the artefact's size follows from it."""
    min_samples_split: int
    """Minimum of windows in a node that is split."""
    rows: int
    """Maximum of training windows, drawn at random."""

    def __post_init__(self) -> None:
        """Reject impossible settings."""
        (features,) = DEFAULT.shape("features")
        many = dict.fromkeys(("leaves", "min_samples_split"), (2, math.inf))
        check_limits(self, "forest.", components=(1, features), trees=(1, 10_000), **many)
        check_limits(self, "forest.", rows=(self.components + 1, math.inf))


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
        zero = dict.fromkeys(("decay", "single", "tilt_db", "shift"), (0, math.inf))
        check_limits(self, "network.", **whole, **shares, **zero, depth_db=(1, 200), rate=(1e-9, 1))
