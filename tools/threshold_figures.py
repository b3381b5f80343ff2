#!/usr/bin/env python3
"""Print what other thresholds of a served model cost, by recordings of single notes.

    .venv/bin/python tools/threshold_figures.py instruments FOLDER --factor 1 --factor 0.8 \
        --label violin --label cello

FOLDER: holds LABEL/recordings of one source. Notes, phrases and mixtures of two to five are drawn
from it, the same at every call for a seed. --label: thresholds that are multiplied by each factor;
all without it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import measure
from benchmarks.reporting import results, tables
from models.store import DEFAULT_PATH, Store
from training.common.labels import LABELS
from training.evaluation import threshold_choices
from training.evaluation.leave_one_out import SourceScores
from training.notes.tensors import tensors
from training.notes.window_set import Spec, build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.store import Model

COLUMNS = {
    "macro_f1_single": "macro-F1, one label",
    "wrong_single": "a wrong label",
    "nothing_single": "none",
    "macro_f1_mixture": "macro-F1, mixtures",
}


HEADS = {"what": "windows", "name": "thresholds", **COLUMNS}
DRAWN = {"note": 60, "solo": 40, "mix": 400}
"""Windows of each label, and mixtures."""
PROGRAM = ".venv/bin/python tools/threshold_figures.py"


def scored(folder: Path, model: Model, seed: int, leave_out: Sequence[str]) -> SourceScores:
    """Return the scores of windows drawn from the folder, none with a label of `leave_out`."""
    with tempfile.TemporaryDirectory() as cache:
        spec = Spec(
            folders=(folder,),
            augment=False,
            **DRAWN,
            score=0,
            across=0,
            silence=0,
            noise=0,
        )
        windows = build(spec, Path(cache), seed=seed, jobs=1)
        table = tensors(windows, kind=model.sound[1])
        kept = ~windows.labels[:, np.isin(LABELS, leave_out)].any(axis=1)
        scores = model.predict(np.ascontiguousarray(table[kept], np.float32))
    return SourceScores(folder.name, scores, windows.labels[kept], windows.kind[kept])


def main(argv: Sequence[str]) -> None:
    """Show a row for each seed and factor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--factor", type=float, action="append")
    parser.add_argument("--label", action="append", choices=LABELS)
    parser.add_argument("--leave-out", action="append", choices=LABELS, default=[])
    parser.add_argument("--seed", type=int, action="append")
    results.add_option(parser)
    options = parser.parse_args(argv)
    results.check_option(parser, options.json)
    before = measure.machine()
    model = Store(DEFAULT_PATH).load(options.name)
    if tuple(model.labels) != tuple(LABELS):
        parser.error(f"{options.name} has not the labels {', '.join(LABELS)}")
    changed = np.isin(LABELS, options.label or LABELS)
    rows = []
    for seed in options.seed or (11, 12):
        one = scored(options.folder, model, seed, options.leave_out)
        for factor in options.factor or (1.0,):
            limits = model.thresholds * np.where(changed, factor, 1.0)
            figures = threshold_choices.measure(one, limits)
            found = {column: round(figures[column], 3) for column in COLUMNS}
            rows.append({"what": f"draw {seed}", "name": f"times {factor:g}", **found})
    report = results.document(
        "thresholds",
        command=results.command_of(PROGRAM, argv, {str(options.folder): "FOLDER"}),
        settings={"model": f"{options.name} {model.version}", "labels": options.label or LABELS},
        rows=rows,
        machine=before,
        heads=HEADS,
    )
    tables.publish(options.json, report)


if __name__ == "__main__":
    main(sys.argv[1:])
