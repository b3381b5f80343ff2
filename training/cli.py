"""`timbre train`: carry a recipe out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import ArtefactError
from training.common.cli_helpers import run_command
from training.common.progress import stage
from training.common.recipe import FOLDER, load, pipeline

if TYPE_CHECKING:
    pass


def main(argv: list[str]) -> int:
    """Train what the recipe says and return the exit code: 0 done, 1 refused, 130 interrupted."""
    options = _parser().parse_args(argv)
    return run_command("train", lambda: _run(options))


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
