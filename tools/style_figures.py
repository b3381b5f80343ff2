#!/usr/bin/env python3
"""Print how well a model of drawings does on each style that it has not seen.

    timbre train clip-art-svm --out FOLDER --set ...
    .venv/bin/python tools/style_figures.py FOLDER clip-art-svm

FOLDER: of trained models. The figures are those of the training, which its report.md has too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import measure
from benchmarks.reporting import model_tables, results, tables
from models.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = ".venv/bin/python tools/style_figures.py"


def main(argv: Sequence[str]) -> None:
    """Show a row for each style and kind of things, and their means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    results.add_option(parser)
    options = parser.parse_args(argv)
    results.check_option(parser, options.json)
    model = Store(options.folder).load(options.name)
    size = options.folder / options.name / model.version / "model.onnx"
    report = results.document(
        options.name,
        command=f"timbre train {options.name} --out FOLDER; "
        + results.command_of(PROGRAM, argv, {str(options.folder): "FOLDER"}),
        settings={"model": f"{options.name} {model.version}"},
        rows=model_tables.style_rows(model.manifest.metrics),
        machine=measure.machine(),
        heads=model_tables.STYLE_HEADS,
        note=f"The model takes {size.stat().st_size / 1e6:.3g} MB.",
    )
    tables.publish(options.json, report)


if __name__ == "__main__":
    main(sys.argv[1:])
