"""The golden inputs of an artefact: replayed at every load, before the model is warmed up."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from common.errors import ArtefactError
from models.session import run_limit
from models.verification import overdue

if TYPE_CHECKING:
    from models.store import Model

WARM_BATCHES = (32, 16, 8, 4, 2, 1)
"""Largest first: memory is allocated once, and sizes between need no more (measured)."""


def run_golden(
    model: Model, golden: bytes, limit_s: float | None, *, max_batch: int = WARM_BATCHES[0]
) -> None:
    """Replay the golden inputs and warm the model up. Raises ArtefactError with the reason.

    max_batch: rows of one call, at most.
    """
    try:
        with run_limit(limit_s) if limit_s else nullcontext():
            _replay(model, golden)
            _warm(model, max_batch)
    except ArtefactError:
        raise
    except TimeoutError as error:
        raise overdue(limit_s or 0.0) from error
    except Exception as error:
        raise ArtefactError(f"the golden inputs cannot be replayed: {error}") from error


def golden_deviation(model: Model, golden: bytes) -> float:
    """Return by how much the scores of the golden inputs differ from those in golden.npz, at most.

    Raises ArtefactError if they have another shape.
    """
    with np.load(io.BytesIO(golden), allow_pickle=False) as arrays:
        inputs, expected = arrays["inputs"], arrays["scores"]
    scores = model.predict(inputs)
    if scores.shape != expected.shape:
        raise ArtefactError(
            f"the golden inputs give scores of shape {scores.shape}, not {expected.shape}"
        )
    return float(np.abs(scores - expected).max())


def _replay(model: Model, golden: bytes) -> None:
    """Compare the scores of the golden inputs with those stored in the artefact."""
    if not (off := golden_deviation(model, golden)) <= model.manifest.tolerance:
        raise ArtefactError(
            "the golden inputs give other scores than when the artefact was made: "
            f"off by {off:.2g} on {model.session.provider}, at most "
            f"{model.manifest.tolerance:g} is allowed"
        )


def _warm(model: Model, max_batch: int) -> None:
    """Run batches once, so that the first request is as fast as later ones."""
    for size in (each for each in WARM_BATCHES if each <= max_batch):
        model.predict(np.zeros((size, *model.session.shape), model.session.dtype))
