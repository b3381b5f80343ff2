"""The metrics of a training by epoch: the best epoch, early stopping, learning-rate schedules."""

from __future__ import annotations

import math
import time

import numpy as np

from training.common.recipe import RecipeError

EpochMetrics = dict[str, float]
"""loss, valid_loss, valid_accuracy; in a history also the seconds since the first epoch began."""
WARM_UP = 0.2
"""Share of the steps in which a one-cycle learning rate rises."""


class Diverged(RecipeError):
    """The loss is no longer a number."""

    title = "Diverged"


def is_lowest(metrics: EpochMetrics, history: list[EpochMetrics]) -> bool:
    """Return whether the validation loss is lower than in all epochs before."""
    return all(metrics["valid_loss"] < one["valid_loss"] for one in history)


def extended(
    history: list[EpochMetrics], metrics: EpochMetrics, *, began: float
) -> list[EpochMetrics]:
    """Return the history with one epoch more. began: the start of the epoch on the monotonic clock.

    Raises Diverged when a loss is not finite.
    """
    if not math.isfinite(metrics["loss"] + metrics["valid_loss"]):
        raise Diverged(f"diverges in epoch {len(history) + 1}")
    before = history[-1]["seconds"] if history else 0.0
    return [*history, {**metrics, "seconds": before + time.monotonic() - began}]


def best_epoch(history: list[EpochMetrics]) -> int:
    """Return the number, from 1, of the epoch with the lowest validation loss."""
    return int(np.argmin([one["valid_loss"] for one in history])) + 1


def epochs_since_best(history: list[EpochMetrics]) -> int:
    """Return the number of epochs since the lowest validation loss."""
    return len(history) - best_epoch(history) if history else 0


def halvings(history: list[EpochMetrics], plateau: int) -> int:
    """Return how often the rates were halved.

    They are halved after each `plateau` epochs in a row without a lower validation loss.
    """
    count, lowest, since = 0, math.inf, 0
    for one in history:
        since = 0 if one["valid_loss"] < lowest else since + 1
        lowest = min(lowest, one["valid_loss"])
        if since == plateau:
            count, since = count + 1, 0
    return count


def one_cycle(at: float) -> float:
    """Return the learning rate as a share of the highest. at: share of the training so far."""
    if at < WARM_UP:
        return (at + 0.01) / (WARM_UP + 0.01)
    return 0.5 + 0.5 * math.cos(math.pi * (at - WARM_UP) / (1 - WARM_UP))
