"""`timbre train`: carry a recipe out."""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import ArtefactError
from training.common.cli_helpers import told
from training.common.recipe import FOLDER, load, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def main(argv: list[str]) -> int:
    """Train what the recipe says and return the exit code: 0 done, 1 refused, 130 interrupted."""
    options = _parser().parse_args(argv)
    return told("train", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    recipe = load(options.recipe, options.set)
    _check_version(recipe, options.out)
    # Only now: torch and scikit-learn take seconds to load.
    for folder in pipeline(recipe.steps).run(recipe, options.out, stage):
        print(folder)


def _check_version(recipe: Any, out: Path) -> None:
    """Refuse now what would be found out after the training."""
    place = out / getattr(recipe, "name", "") / recipe.version
    if recipe.version and place.exists():
        raise ArtefactError(
            f"{place} exists already: name another version, or none for the one after the latest"
        )


def _parser() -> argparse.ArgumentParser:
    recipes = ", ".join(sorted(path.stem for path in FOLDER.glob("*.toml")))
    parser = argparse.ArgumentParser(
        prog="timbre train", description="Make an artefact from material."
    )
    parser.add_argument("recipe", metavar="RECIPE", help=f"a name ({recipes}) or a .toml file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a setting, such as data=FOLDER, profile=quick, holdout=vsco, network.epochs=3",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("artefacts"), help="default: %(default)s"
    )
    return parser


@contextmanager
def stage(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show one stage at work: a bar on a terminal, and a line with its seconds when it is done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    began = time.monotonic()
    console = Console(stderr=True)
    rate = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        rate,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(name, total=None, rate="")

        def progress(done: int, total: int) -> None:
            """Show how far it is; a total of 0 is not known."""
            speed, of = done / (time.monotonic() - began), f" of {total:,}" if total else ""
            bars.update(
                task,
                completed=done,
                total=total or None,
                rate=f"{done:,}{of}, {speed:,.3g} a second",
            )

        yield progress
    console.print(f"{time.monotonic() - began:7.1f} s  {name}", highlight=False)
