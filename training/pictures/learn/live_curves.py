"""Live curves of a training: lines on the terminal, JSON Lines, a page that reloads itself."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING, Any

from common.atomic import write_atomic
from common.page import Html, page, paragraph
from common.strict_json import to_json
from training.common.recipe import RecipeError
from training.pictures.learn.history import EpochMetrics
from training.reporting.training_run import learning

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = "▁▂▃▄▅▆▇█"
EVERY = 5
"""Seconds after which a browser loads the page again."""
TAGS = {
    "loss/training": "loss",
    "loss/validation": "valid_loss",
    "accuracy/validation": "valid_accuracy",
}
"""TensorBoard tag to the metric that it shows."""
WIDTH = 40
"""Epochs in a sparkline."""


def check(*, tensorboard: bool) -> None:
    """Raise RecipeError when TensorBoard's files are wanted but it is not installed."""
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise RecipeError(
            "tensorboard=true: it is not installed; pip install tensorboard, or leave it out"
        )


class Curves:
    """Keeps curves.jsonl and curves.html of a folder up to date, epoch by epoch."""

    def __init__(self, folder: Path, *, name: str, tensorboard: bool = False) -> None:
        self.folder, self.name, self.stages = folder, name, dict[str, list[EpochMetrics]]()
        self._writer: Any = None
        self._written = 0
        folder.mkdir(parents=True, exist_ok=True)
        print(f"curves: {folder / 'curves.html'}", file=sys.stderr)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            # Written anew: the epochs of a killed training would be there twice.
            shutil.rmtree(folder / "tensorboard", ignore_errors=True)
            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def update(self, stage: str, history: list[EpochMetrics]) -> None:
        """Show the history of a stage so far."""
        self.restore(stage, history)
        self._write(reload=True)
        print(terminal_line(stage, history), file=sys.stderr)

    def restore(self, stage: str, history: list[EpochMetrics]) -> None:
        """Add the history of a stage that was trained before."""
        self.stages[stage] = history

    def close(self) -> None:
        """Write everything once more, as a page that does not reload itself."""
        self._write(reload=False)
        if self._writer:
            self._writer.close()

    def _write(self, *, reload: bool) -> None:
        rows = [
            {"stage": name, "epoch": at, **one}
            for name, some in self.stages.items()
            for at, one in enumerate(some, 1)
        ]
        write_atomic(self.folder / "curves.jsonl", "".join(to_json(row) + "\n" for row in rows))
        write_atomic(self.folder / "curves.html", self._page(reload=reload))
        if self._writer:
            for at in range(self._written, len(rows)):
                for tag, key in TAGS.items():
                    self._writer.add_scalar(tag, rows[at][key], at + 1)
            self._written = len(rows)
            self._writer.flush()

    def _page(self, *, reload: bool) -> str:
        state = (
            f"Running: the page reloads itself every {EVERY} seconds."
            if reload
            else "The training has ended."
        )
        drawn = page(
            f"{self.name}: training",
            [("Learning", learning(self.stages))],
            lead=paragraph(state),
            before=Html(),
        )
        head = '<head><meta charset="utf-8">'
        return (
            drawn.replace(head, f'{head}<meta http-equiv="refresh" content="{EVERY}">', 1)
            if reload
            else drawn
        )


def terminal_line(stage: str, history: list[EpochMetrics]) -> str:
    """Return a line about the last epoch, with a sparkline of the validation loss."""
    one = history[-1]
    return (
        f"{stage} {len(history):3d}  loss {one['loss']:.3f}  validation {one['valid_loss']:.3f}  "
        f"right {one['valid_accuracy']:.1%}  {blocks([look['valid_loss'] for look in history])}"
    )


def blocks(values: list[float]) -> str:
    """Return numbers as a sparkline from lowest to highest; of many, the last ones."""
    some = values[-WIDTH:]
    low, high = min(some), max(some)
    steps = len(BLOCKS) - 1
    return "".join(
        BLOCKS[round(steps * (value - low) / (high - low)) if high > low else 0] for value in some
    )
