#!/usr/bin/env python3
"""Print how well a served model tells events of performances by recordings of single notes.

    .venv/bin/python tools/event_figures.py instruments FOLDER... [--rise 0 --rise 1]

FOLDER: holds LABEL/recordings of one source. Eight performances of a minute each are played with
the notes of each folder, three parts with rests; they are the same at every call.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import DEFAULT
from models.store import DEFAULT_PATH, Store
from training.common.labels import LABELS, RATE
from training.evaluation.event_scores import Span, joined
from training.evaluation.recording_events import Detected, ScoredRecording, measure_events
from training.notes.library import library_of_folder
from training.notes.performances import LENGTH, perform
from training.pipelines.performance_events import PAUSE_S, PERFORMANCES
from training.sound_models.whole_recordings import LIVE_HOP_S, live_scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.store import Model

HEAD = ("rise", *("macro-F1 at 0.25 s", "0.5 s", "1 s"), *("micro-F1 at 0.25 s", "0.5 s", "1 s"))
HEAD += ("onset error: quartiles (s)",)
SEED = 5


class Served:
    """A model of the store, as the training scores with one."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.history: list[dict[str, float]] = []

    def scores(self, tensors: Any) -> Any:
        """Return (n, labels)."""
        return self.model.predict(np.ascontiguousarray(tensors, np.float32))


def performances(folder: Path, model: Model, cache: Path) -> Iterator[ScoredRecording]:
    """Yield the scored performances of one folder."""
    library, rng = library_of_folder(folder, cache), np.random.default_rng(SEED)
    hop = DEFAULT.live_hop(LIVE_HOP_S)
    for _ in range(PERFORMANCES):
        played = perform(library, rng)
        truth = {name: [Span(*each) for each in played.intervals(name)] for name in library.labels}
        yield ScoredRecording(
            source=library.source,
            seconds=LENGTH / RATE,
            truth={name: joined(some, pause=PAUSE_S) for name, some in truth.items() if some},
            scores=live_scores(Served(model), played.samples, kind=model.kind),
            labels=played.windows(hop),
            hop=hop,
            window=DEFAULT.window,
            rate=RATE,
        )


def row(cells: Sequence[str]) -> None:
    """Print a row of Markdown."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")


def main() -> None:
    """Print a row for each rise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("name")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rise", type=float, action="append")
    options = parser.parse_args()
    model = Store(DEFAULT_PATH).load(options.name)
    labels = model.manifest.labels
    if tuple(label.name for label in labels) != tuple(LABELS):
        parser.error(f"{options.name} has not the labels {', '.join(LABELS)}")
    with tempfile.TemporaryDirectory() as cache:
        found = [one for each in options.folders for one in performances(each, model, Path(cache))]
    row(HEAD)
    for rise in options.rise or (0.0, 1.0):
        own = tuple(replace(each, events={**each.events, "rise": rise}) for each in labels)
        figures = measure_events([Detected(one, own) for one in found])
        columns = (*figures["macro_f1"].values(), *figures["micro_f1"].values())
        error = [figures["onset_error"][name] for name in ("lower", "median", "upper")]
        cells = [f"{rise:g}", *(f"{value:.2f}" for value in columns)]
        row([*cells, ", ".join(f"{value:+.2f}" for value in error)])


if __name__ == "__main__":
    main()
