"""Thresholds that keep generated noise without a label, as the promotion check wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features.extract import extract_many
from models.promote import quiet_windows
from training.evaluation.thresholds import lowest_quiet

if TYPE_CHECKING:
    import numpy.typing as npt

    from features.config import AudioConfig, Kind
    from training.evaluation.leave_one_out import Fitted
    from training.evaluation.metrics import Scores

WINDOWS = 1000
SEED = 2
"""Other windows than the promotion check's own."""
MARGIN = 10
"""So many times fewer windows get a label than may: the check draws 200 others."""


def noise_floors(
    fitted: Fitted, kind: Kind, config: AudioConfig, *, quiet: float
) -> npt.NDArray[np.float64]:
    """Return the lowest thresholds (labels,) with which the promotion check is met with a margin.

    quiet: share of noise and silence that must get no label.
    """
    windows = quiet_windows(config, WINDOWS, seed=SEED)
    scores = _scores(fitted, kind, config, windows)
    return np.minimum(lowest_quiet(scores, 1 - (1 - quiet) / MARGIN), 1.0)


def share_without_label(
    fitted: Fitted, kind: Kind, config: AudioConfig, thresholds: npt.NDArray[np.float32]
) -> float:
    """Return the figure of the promotion check: its windows without a label, as a share."""
    scores = _scores(fitted, kind, config, quiet_windows(config))
    return float(1 - (scores >= thresholds).any(axis=1).mean())


def _scores(
    fitted: Fitted, kind: Kind, config: AudioConfig, windows: list[npt.NDArray[np.float32]]
) -> Scores:
    return fitted.scores(extract_many(windows, kind=kind, config=config))
