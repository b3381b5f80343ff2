"""Histogram of pictures per class and part, as text and as a PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.common import part_histogram

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROWS = 40
"""Maximum of classes shown; of more, the largest and the smallest are shown."""
WIDTH = 30


def text(counts: npt.NDArray[np.int64], classes: Sequence[str], names: Sequence[str]) -> str:
    """Return a table with a bar per class. counts: (classes, parts)."""
    shown = chosen(counts)
    head = max(5, *(len(classes[i]) for i in shown))
    width = max(7, *(len(f"{total:,}") for total in counts.sum(axis=0)), *map(len, names))
    lines = [f"{'class':{head}}" + "".join(f"{name:>{width + 1}}" for name in names)]
    scale = WIDTH / counts.sum(axis=1).max()
    for row, i in enumerate(shown):
        if row == ROWS // 2 and len(shown) < len(classes):
            lines.append(f"... {len(classes) - len(shown):,} more classes")
        bar = "█" * max(1, round(scale * counts[i].sum()))
        lines.append(
            f"{classes[i]:{head}}" + "".join(f"{n:>{width + 1},}" for n in counts[i]) + f"  {bar}"
        )
    total = counts.sum(axis=0)
    lines.append(f"{'all':{head}}" + "".join(f"{n:>{width + 1},}" for n in total))
    shares = "".join(f"{n / total.sum():>{width + 1}.1%}" for n in total)
    return "\n".join([*lines, " " * head + shares])


def chosen(counts: npt.NDArray[np.int64]) -> list[int]:
    """Return the classes to show: all in order, or of many the largest, then the smallest."""
    if len(counts) <= ROWS:
        return list(range(len(counts)))
    by_size = np.argsort(-counts.sum(axis=1), kind="stable")
    return [*by_size[: ROWS // 2].tolist(), *by_size[-(ROWS // 2) :].tolist()]


def draw(
    counts: npt.NDArray[np.int64], classes: Sequence[str], names: Sequence[str], path: Path
) -> None:
    """Write the histogram as a PNG: a bar for each class, or curves for many classes."""
    title = f"{counts.sum():,} pictures of {len(classes):,} classes"
    part_histogram.draw(counts, classes, names, path, what="pictures", title=title)
