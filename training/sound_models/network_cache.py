"""Trained networks on disk, so that a killed training resumes without repeating them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from common.atomic import atomic_file
from training.common.disk import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from training.common.model_settings import Network
    from training.evaluation.leave_one_out import HeldOut, HistoryEntry
    from training.evaluation.metrics import Mask

# Raised whenever the same settings would train another network.
VERSION = 2
_WEIGHTS = "weights/"


def name(
    shape: tuple[int, ...],
    labels: Mask,
    rows: npt.NDArray[np.int64],
    settings: Network,
    *,
    seed: int,
    held_out: HeldOut | None,
    other: tuple[bytes, ...] = (),
) -> str:
    """Return the file name of one network, a hash of its windows, settings and seed.

    other: whatever else it is made of.
    """
    known = [
        hashlib.sha256(array.tobytes()).hexdigest()
        for array in (rows, labels[rows], *(held_out or ()))
    ]
    known += [hashlib.sha256(content).hexdigest() for content in other]
    # How many networks there are in all does not matter to one of them.
    kept = asdict(replace(settings, members=1))
    return f"{fingerprint([VERSION, shape, labels.shape, known, kept, seed])}.npz"


def write(path: Path, weights: dict[str, npt.NDArray[Any]], history: list[HistoryEntry]) -> None:
    """Write a network, atomically."""
    arrays: dict[str, Any] = {_WEIGHTS + key: value for key, value in weights.items()}
    with atomic_file(path) as draft:
        np.savez(draft, history=np.array(json.dumps(history)), **arrays)


def read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], list[HistoryEntry]]:
    """Return weights by name and what each epoch brought."""
    with np.load(path, allow_pickle=False) as arrays:
        weights = {
            key.removeprefix(_WEIGHTS): arrays[key] for key in arrays if key.startswith(_WEIGHTS)
        }
        return weights, json.loads(str(arrays["history"]))
