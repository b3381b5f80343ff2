"""`timbre train`: runs a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common.errors import ArtefactError
from training.common.cli_helpers import run_command
from training.common.progress import stage
from training.common.recipe import FOLDER, load, pipeline


def main(argv: list[str]) -> int:
    """Run a recipe and return the exit code: 0 done, 1 error, 130 interrupted."""
    options = _parser().parse_args(argv)
    return run_command("train", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    recipe = load(options.recipe, options.set)
    _check_version(recipe, options.out)
    # Only now: torch and scikit-learn take seconds to load.
    for folder in pipeline(recipe.steps).run(recipe, options.out, stage):
        print(folder)


def _check_version(recipe: Any, out: Path) -> None:
    """Reject before the training a version that exists."""
    place = out / getattr(recipe, "name", "") / recipe.version
    if recipe.version and place.exists():
        raise ArtefactError(
            f"{place} exists already: name another version, or none for the next one"
        )


def _parser() -> argparse.ArgumentParser:
    recipes = ", ".join(sorted(path.stem for path in FOLDER.glob("*.toml")))
    parser = argparse.ArgumentParser(
        prog="timbre train", description="Train a model and write its artefact."
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
