"""`timbre train`: runs a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common.errors import ArtefactError
from training.common.cli_helpers import run_command
from training.common.paths import REPORTS
from training.common.progress import ProgressFile, stage
from training.common.recipe import FOLDER, load, pipeline
from training.common.searched import changes, check_match, read_best


def main(argv: list[str]) -> int:
    """Run a recipe and return the exit code: 0 done, 1 error, 130 interrupted."""
    options = _parser().parse_args(argv)
    return run_command("train", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    recipe = _recipe(options)
    _check_versions(recipe, options.out)
    # Only now: torch and scikit-learn take seconds to load.
    steps = pipeline(recipe.steps)
    if options.check:
        # What only the libraries know: a pipeline without this has no such setting.
        getattr(steps, "check_recipe", lambda _: None)(recipe)
        return
    written = ProgressFile(options.progress, stage) if options.progress else None
    made = steps.run(recipe, options.out, written.stage if written else stage)
    for folder in made:
        kind = _kind_of(folder, options.out)
        print(f"{kind}: {folder}")
        if written:
            written.write(**{kind: str(folder.relative_to(options.out))})


def _kind_of(made: Path, out: Path) -> str:
    """Return what people are told that a path in `out` is."""
    if made.suffix == ".onnx":
        return "network"
    return "report" if made.parent == out / REPORTS else "artefact"


def _recipe(options: argparse.Namespace) -> Any:
    if options.from_search is None:
        return load(options.recipe, options.set)
    best = read_best(options.from_search)
    recipe = load(options.recipe, options.set, found=changes(best))
    check_match(best, recipe)
    return recipe


def _check_versions(recipe: Any, out: Path) -> None:
    """Raise ArtefactError before the training when a version that it would write exists."""
    for name in recipe.artefact_names if recipe.version else ():
        folder = out / name / recipe.version
        if folder.exists():
            raise ArtefactError(
                f"{folder} exists already: set another version, or none for the next one"
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
        help="change a setting, such as collection.path=FOLDER, name=birds, profile=quick",
    )
    parser.add_argument(
        "--from-search",
        metavar="DIR",
        type=Path,
        help="train the best that `timbre search --out DIR` found; --set changes it further",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("artefacts"),
        help="folder for artefacts and reports; default: %(default)s",
    )
    parser.add_argument(
        "--progress",
        metavar="FILE",
        type=Path,
        help="append progress as JSON Lines: stage, done, total; at the end artefact and report",
    )
    parser.add_argument(
        "--check", action="store_true", help="check the recipe and its settings, train nothing"
    )
    return parser
