"""Histogram of pictures per class and part, as text and as a PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROWS = 40
"""Maximum of classes shown; of more, the largest and the smallest are shown."""
WIDTH = 30
STEEP = 60
"""Pictures of a class from which the scale of many classes is logarithmic."""
COLOURS = ("#3b6fb6", "#e0a030", "#c4473a")


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
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    many = len(classes) > ROWS
    figure, axes = plt.subplots(
        figsize=(9, 5 if many else 1.6 + 0.28 * len(classes)), layout="constrained"
    )
    (_curves if many else _bars)(axes, counts, classes, names)
    axes.spines[["top", "right"]].set_visible(False)
    total = counts.sum(axis=0)
    titles = (f"{name} {n:,} ({n / total.sum():.0%})" for name, n in zip(names, total, strict=True))
    heading = f"{total.sum():,} pictures of {len(classes):,} classes: " + ", ".join(titles)
    axes.set_title(heading, loc="left", fontsize=10)
    figure.legend(loc="outside lower left", ncols=len(names), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(
    axes: Any, counts: npt.NDArray[np.int64], classes: Sequence[str], names: Sequence[str]
) -> None:
    left = np.zeros(len(classes))
    for column, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        axes.barh(
            np.arange(len(classes)),
            counts[:, column],
            left=left,
            height=0.72,
            color=colour,
            label=name,
        )
        left += counts[:, column]
    for row, total in enumerate(left):
        axes.text(total, row, f" {total:,.0f}", va="center", fontsize=8, color="#555555")
    axes.set_yticks(np.arange(len(classes)), classes)
    axes.invert_yaxis()
    axes.set_xlabel("pictures")
    axes.margins(x=0.08, y=0.02)


def _curves(
    axes: Any, counts: npt.NDArray[np.int64], classes: Sequence[str], names: Sequence[str]
) -> None:
    """Draw a curve for each part: pictures of each class, in descending order."""
    from matplotlib.ticker import MaxNLocator

    for column, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        part = np.sort(counts[:, column])[::-1]
        # Later curves are thinner, so that equal curves stay visible.
        axes.plot(
            np.arange(1, len(classes) + 1),
            part,
            color=colour,
            label=name,
            drawstyle="steps",
            linewidth=4.5 - 1.5 * column,
        )
    axes.set(
        xlabel="classes, those with most pictures in a part first", ylabel="pictures of a class"
    )
    if counts.max() > STEEP:
        axes.set_yscale("symlog")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, None)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
