"""Curves of a training while it runs: a line an epoch on the terminal, JSON lines, a page that renews itself."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from common.page import Html, page, paragraph
from training.common.recipe import RecipeError
from training.reporting.pictures import learning

if TYPE_CHECKING:
    from pathlib import Path

EpochMetrics = dict[str, float]
BLOCKS = "▁▂▃▄▅▆▇█"
EVERY = 5
"""Seconds after which a browser loads the page again."""
TAGS = {
    "loss/training": "loss",
    "loss/validation": "valid_loss",
    "accuracy/validation": "valid_accuracy",
}
"""Of TensorBoard, and what they show."""
WIDTH = 40
"""Epochs in a line of blocks."""


def check(*, tensorboard: bool) -> None:
    """Refuse to promise TensorBoard's files where it is not installed. Raises RecipeError."""
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise RecipeError(
            "tensorboard=true: it is not installed; pip install tensorboard, or leave it out"
        )


class Curves:
    """Told the looks of a stage after each epoch, keeps curves.jsonl and curves.html of a folder up to date."""

    def __init__(self, folder: Path, *, name: str, tensorboard: bool = False) -> None:
        self.folder, self.name, self.stages = folder, name, dict[str, list[EpochMetrics]]()
        self._writer: Any = None
        self._written = 0
        folder.mkdir(parents=True, exist_ok=True)
        print(f"curves: {folder / 'curves.html'}", file=sys.stderr)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            # Begun anew, because what a killed training wrote would be there twice.
            shutil.rmtree(folder / "tensorboard", ignore_errors=True)
            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def tell(self, stage: str, history: list[EpochMetrics]) -> None:
        """Show the looks of a stage so far."""
        self.know(stage, history)
        self._write(renewed=True)
        print(terminal_line(stage, history), file=sys.stderr)

    def know(self, stage: str, history: list[EpochMetrics]) -> None:
        """Take in the looks of a stage that was trained before."""
        self.stages[stage] = history

    def close(self) -> None:
        """Write everything once more, as a page that no longer renews itself."""
        self._write(renewed=False)
        if self._writer:
            self._writer.close()

    def _write(self, *, renewed: bool) -> None:
        rows = [
            {"stage": name, "epoch": at, **one}
            for name, some in self.stages.items()
            for at, one in enumerate(some, 1)
        ]
        _replace(self.folder / "curves.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        _replace(self.folder / "curves.html", self._page(renewed=renewed))
        if self._writer:
            for at in range(self._written, len(rows)):
                for tag, key in TAGS.items():
                    self._writer.add_scalar(tag, rows[at][key], at + 1)
            self._written = len(rows)
            self._writer.flush()

    def _page(self, *, renewed: bool) -> str:
        state = (
            f"At work: the page renews itself every {EVERY} seconds."
            if renewed
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
            if renewed
            else drawn
        )


def terminal_line(stage: str, history: list[EpochMetrics]) -> str:
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
    return "".join(
        BLOCKS[round(steps * (value - low) / (high - low)) if high > low else 0] for value in some
    )


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
