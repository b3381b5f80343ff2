"""Standardisation of columns that stays sane where a column never changed in the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

ROUNDING = 1e-6
"""Spread, beside the mean, up to which numbers of single precision are one number."""
ALIKE = 1e-4
"""Of columns of one unit: spread, beside that of all, up to which a column does not change."""
_BLOCK = 512


def mean_and_scale(
    rows: npt.NDArray[Any], *, alike: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the mean and the standard deviation of each column of rows (n, columns).

    The scale of a column that does not change is infinite: divided by it, whatever comes later
    counts nothing. alike: columns of one unit, as of an embedding, where one that hardly changes
    beside the others counts as one that does not.
    """
    mean, scale = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for first in range(0, rows.shape[1], _BLOCK):
        some = slice(first, first + _BLOCK)
        exact = np.asarray(rows[:, some], np.float64)
        mean[some], scale[some] = exact.mean(axis=0), exact.std(axis=0)
    least = ROUNDING * np.abs(mean)
    if alike:
        least = np.maximum(least, ALIKE * np.sqrt(np.square(scale).mean()))
    return mean, np.where(scale > least, scale, np.inf)
