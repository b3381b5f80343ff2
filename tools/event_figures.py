#!/usr/bin/env python3
"""Print how well a served model tells events of performances by recordings of single notes.

    .venv/bin/python tools/event_figures.py instruments FOLDER... [--rise 0] [--trained-on FOLDER]

FOLDER: holds LABEL/recordings of one source, that the model was not trained on, or was. Eight
performances of a minute each are played with the notes of each folder, three parts with rests; they
are the same at every call.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import measure
from benchmarks.reporting import results, tables
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

    from models.manifest import Label
    from models.store import Model

COLLARS = ("0.25 s", "0.5 s", "1 s")
HEADS = {
    "what": "from",
    "name": "",
    **{
        f"{kind}_{collar}": f"{told} at {collar}"
        for kind, told in (("macro_f1", "macro-F1"), ("micro_f1", "micro-F1"))
        for collar in COLLARS
    },
    "onset_error": "onset error: quartiles (s)",
}
PROGRAM = ".venv/bin/python tools/event_figures.py"
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


def figures_of(found: Sequence[ScoredRecording], own: Sequence[Label]) -> dict[str, Any]:
    """Return the columns of a row."""
    figures = measure_events([Detected(one, tuple(own)) for one in found])
    means = {
        f"{kind}_{collar}": round(value, 2)
        for kind in ("macro_f1", "micro_f1")
        for collar, value in zip(COLLARS, figures[kind].values(), strict=True)
    }
    error = figures["onset_error"]  # None where no event was told at its time
    quartiles = error and [error[name] for name in ("lower", "median", "upper")]
    told = quartiles and ", ".join(f"{value:+.2f}" for value in quartiles)
    return {**means, "onset_error": told}


def main(argv: Sequence[str]) -> None:
    """Show a row for each rise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("name")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rise", type=float, action="append")
    parser.add_argument("--trained-on", action="append", type=Path, default=[], metavar="FOLDER")
    results.add_option(parser)
    options = parser.parse_args(argv)
    results.check_option(parser, options.json)
    before = measure.machine()
    model = Store(DEFAULT_PATH).load(options.name)
    labels = model.manifest.labels
    if tuple(label.name for label in labels) != tuple(LABELS):
        parser.error(f"{options.name} has not the labels {', '.join(LABELS)}")
    parts, rows = {"never trained on": options.folders, "trained on": options.trained_on}, []
    for what, folders in parts.items():
        with tempfile.TemporaryDirectory() as cache:
            found = [one for each in folders for one in performances(each, model, Path(cache))]
        for rise in (options.rise or (0.0, 1.0)) if found else ():
            own = [replace(each, events={**each.events, "rise": rise}) for each in labels]
            rows.append({"what": what, "name": f"rise {rise:g}", **figures_of(found, own)})
    names = {str(each): "FOLDER" for folders in parts.values() for each in folders}
    report = results.document(
        "events",
        command=results.command_of(PROGRAM, argv, names),
        settings={"model": f"{options.name} {model.version}", "seed": SEED},
        rows=rows,
        machine=before,
        heads=HEADS,
    )
    tables.publish(options.json, report)


if __name__ == "__main__":
    main(sys.argv[1:])
