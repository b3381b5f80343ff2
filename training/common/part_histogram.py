"""What each class has in each part of a split, as a PNG: bars, or curves of many classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training.common.colours import colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROWS = 40
"""Classes up to which each has a bar."""
STEEP = 60
"""Amount of a class from which on the scale of many classes is logarithmic."""
LONGEST = 40
"""Characters of a class beside its bar."""
Amounts = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]


def draw(
    amounts: Amounts,
    classes: Sequence[str],
    parts: Sequence[str],
    path: Path,
    *,
    what: str,
    title: str,
) -> None:
    """Write the plot. amounts: (classes, parts). parts: from train, valid, test. what: amounts of.

    The legend above it says for each part its share of all.
    """
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    many = len(classes) > ROWS
    size = (9, 5 if many else 1.7 + 0.3 * len(classes))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    (_curves if many else _bars)(axes, amounts, classes, [colour_of(part) for part in parts])
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel(f"{what} of a class" if many else "")
    if not many:
        axes.set_xlabel(what)
    total = amounts.sum(axis=0)
    names = [
        f"{part}: {_number(one)} ({one / total.sum():.0%})"
        for part, one in zip(parts, total, strict=True)
    ]
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour_of(part)) for part in parts]
    axes.set_title(title, loc="left", fontsize=11)
    figure.legend(handles, names, loc="outside upper left", ncols=len(parts), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _number(amount: np.number[Any]) -> str:
    return f"{amount:,}" if isinstance(amount, np.integer) else f"{amount:,.2f}"


def _bars(axes: Any, amounts: Amounts, classes: Sequence[str], colours: Sequence[str]) -> None:
    rows, left = np.arange(len(classes)), np.zeros(len(classes))
    for column, colour in enumerate(colours):
        axes.barh(rows, amounts[:, column], left=left, height=0.72, color=colour)
        left += amounts[:, column]
    for row, total in enumerate(amounts.sum(axis=1)):
        axes.text(total, row, f" {_number(total)}", va="center", fontsize=8, color="#5c6573")
    short = [name if len(name) <= LONGEST else name[: LONGEST - 1] + "\u2026" for name in classes]
    axes.set_yticks(rows, short)
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.02)


def _curves(axes: Any, amounts: Amounts, classes: Sequence[str], colours: Sequence[str]) -> None:
    """Draw a curve for each part: what each class has, in descending order."""
    for column, colour in enumerate(colours):
        part = np.sort(amounts[:, column])[::-1]
        # Later curves are thinner, so that equal curves stay visible.
        axes.plot(
            np.arange(1, len(classes) + 1),
            part,
            color=colour,
            drawstyle="steps",
            linewidth=4.5 - 1.5 * column,
        )
    axes.set_xlabel("classes, those with most in a part first")
    if amounts.max() > STEEP:
        axes.set_yscale("symlog")
    axes.set_ylim(0, None)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
