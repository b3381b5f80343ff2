"""The outputs of a request: scores, or the best labels as texts (classification). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import InputError
from service.open_inference.tensors import BYTES, TensorSpec, pack_texts

MAX_NAMED = 64
"""Outputs that a request may name: the one there is, in several forms."""


@dataclass(frozen=True)
class Output:
    """A tensor of a response."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: npt.NDArray[np.float32] | list[str]
    """Of this shape; texts flat, row by row."""

    def to_bytes(self) -> bytes:
        """Return the numbers little-endian, row by row, or the texts with their lengths."""
        if isinstance(self.values, list):
            return pack_texts(self.values)
        return self.values.astype("<f4", copy=False).tobytes()

    def to_list(self) -> list[Any]:
        """Return the numbers or texts flat, row by row."""
        return self.values if isinstance(self.values, list) else self.values.ravel().tolist()


def check_output(spec: TensorSpec, *, name: object, parameters: Mapping[str, object]) -> int:
    """Return how many of the best labels an output asks for; 0: the scores. Raises InputError."""
    if name != spec.name:
        raise InputError(f"the model has no output {name!r:.80}; there is {spec.name!r}")
    count = parameters.get("classification", 0)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise InputError(f"classification={count!r:.80} must be a whole number, 0 or more")
    return count


def output(
    spec: TensorSpec, scores: npt.NDArray[np.float32], *, labels: Sequence[str], best: int = 0
) -> Output:
    """Return the output with these scores (rows, labels).

    best: the labels of each row as `score:index:label`, as many of the highest; 0: the scores.
    """
    if not best:
        return Output(spec.name, spec.datatype, scores.shape, scores)
    best = min(best, len(labels))
    # Of equal scores, the first label comes first.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :best]
    texts = [
        f"{row[at]:.6f}:{at}:{labels[at]}"
        for row, indices in zip(scores.tolist(), order.tolist(), strict=True)
        for at in indices
    ]
    return Output(spec.name, BYTES, (len(scores), best), texts)
