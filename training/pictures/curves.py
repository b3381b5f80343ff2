"""Curves of a training while it runs: a line an epoch on the terminal, JSON lines, a page that renews itself."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from training.recipe import RecipeError
from training.reporting import charts

if TYPE_CHECKING:
    from pathlib import Path

Look = dict[str, float]
BLOCKS = "▁▂▃▄▅▆▇█"
EVERY = 5
"""Seconds after which a browser loads the page again."""
WIDTH = 40
"""Epochs in a line of blocks."""


def check(*, tensorboard: bool) -> None:
    """Refuse to promise TensorBoard's files where it is not installed. Raises RecipeError."""
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise RecipeError("tensorboard=true: it is not installed; pip install tensorboard, or leave it out")


class Curves:
    """Told the looks of a stage after each epoch, keeps curves.jsonl and curves.html of a folder up to date."""

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self.folder, self.stages = folder, dict[str, list[Look]]()
        self._writer: Any = None
        folder.mkdir(parents=True, exist_ok=True)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def tell(self, stage: str, history: list[Look]) -> None:
        """Show the looks of a stage so far."""
        self.stages[stage] = history
        rows = [
            {"stage": name, "epoch": at, **one} for name, some in self.stages.items() for at, one in enumerate(some, 1)
        ]
        _replace(self.folder / "curves.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        _replace(self.folder / "curves.html", self._page())
        print(spoken(stage, history), file=sys.stderr)
        if self._writer:
            for name in ("loss", "valid_loss", "valid_accuracy"):
                self._writer.add_scalar(name, history[-1][name], len(rows))
            self._writer.flush()

    def _page(self) -> str:
        looks = [one for some in self.stages.values() for one in some]
        at = range(1, len(looks) + 1)
        losses = {
            "training": (at, [one["loss"] for one in looks]),
            "validation": (at, [one["valid_loss"] for one in looks]),
        }
        right = {"validation": (at, [one["valid_accuracy"] for one in looks])}
        with charts.panels(2, columns=2, height=3.2) as (figure, axes):
            for ax, (title, series) in zip(axes, {"loss": losses, "accuracy": right}.items(), strict=True):
                for name, (x, y) in series.items():
                    ax.plot(x, y, "o-", markersize=4, color=charts.SERIES[name == "validation"], label=name)
                for border in self._borders():
                    ax.axvline(border, color=charts.MUTED, linewidth=1, linestyle="--")
                ax.set(title=title, xlabel="epoch")
                ax.legend()
            drawn = charts.alone(figure)
        head = (
            f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="{EVERY}"><title>curves</title>'
        )
        return f"{head}{drawn}<p>{', then '.join(self.stages)}</p>\n"

    def _borders(self) -> list[float]:
        ends, total = [], 0
        for some in self.stages.values():
            total += len(some)
            ends.append(total + 0.5)
        return ends[:-1]


def spoken(stage: str, history: list[Look]) -> str:
    """Return one line about the last epoch, with the validation loss of all as blocks."""
    one = history[-1]
    return (
        f"{stage} {len(history):3d}  loss {one['loss']:.3f}  validation {one['valid_loss']:.3f}  "
        f"right {one['valid_accuracy']:.1%}  {blocks([look['valid_loss'] for look in history])}"
    )


def blocks(values: list[float]) -> str:
    """Return numbers as blocks from the lowest to the highest, the last ones if there are many."""
    some = values[-WIDTH:]
    low, high = min(some), max(some)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[round(steps * (value - low) / (high - low)) if high > low else 0] for value in some)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
