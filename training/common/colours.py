"""The colours of plots: one for each series, and the same for a part of a split everywhere."""

from __future__ import annotations

SERIES = ("#2459c4", "#c2570c", "#14805e", "#8b3fb0", "#a8820a", "#c02a5e", "#4c5a6b")
"""On white; `common/page.css` has them as --c0 to --c6, and their like on a dark page."""
PARTS = {"train": 0, "valid": 1, "test": 2}
"""The colour of each part of a split, an index of SERIES."""


def series_of(part: str, at: int = 0) -> int:
    """Return the index of a part's colour. at: place of a further test set among all parts."""
    return PARTS.get(part, (max(at, len(PARTS) - 1)) % len(SERIES))


def colour_of(part: str, at: int = 0) -> str:
    """Return the colour of a part on white. at: see `series_of`."""
    return SERIES[series_of(part, at)]
