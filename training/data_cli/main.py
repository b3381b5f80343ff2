"""`timbre data`: check, split and tabulate sounds; collect, clean and pack pictures."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from training.common.cli_helpers import run_command

COMMANDS = {
    "check": (
        "training.data_cli.check",
        "read everything, count labels and sources, list unusable files",
    ),
    "split": (
        "training.data_cli.split",
        "show which sources train, validate and test; or split pictures",
    ),
    "table": (
        "training.data_cli.table",
        "compute the features of all windows, in parallel, once",
    ),
    "hear": (
        "training.data_cli.hear",
        "write windows before and after each variant, and their spectrograms",
    ),
    "similar": (
        "training.data_cli.similar",
        "find the sounds of a folder that are most like a file, and listen to them",
    ),
    "crawl": (
        "training.pictures.collect.crawl",
        "collect pictures from a shop or from open collections, by a recipe",
    ),
    "match": (
        "training.pictures.dataset.match",
        "find the classes of pictures in their file names",
    ),
    "clean": (
        "training.pictures.clean.command",
        "find duplicates, blank pictures and suspect labels; review them on a page",
    ),
    "describe": (
        "training.pictures.embeddings.describe",
        "write the descriptors of pictures (a layer of a network) as HDF5",
    ),
    "pack": ("training.pictures.dataset.pack", "pack a folder of pictures into arrays"),
}
"""Module with main(argv), and a line of help; `split` of pictures is chosen by its folder."""


def main(argv: list[str]) -> int:
    """Run `timbre data` and return its exit code: 0 done, 1 error or problems, 2 bad arguments."""
    if not argv or argv[0] in {"-h", "--help"}:
        lines = [f"  {name:<10}{about}" for name, (_, about) in COMMANDS.items()]
        print(
            "\n".join(
                [
                    "usage: timbre data COMMAND ...   (options: timbre data COMMAND --help)",
                    "",
                    *lines,
                ]
            )
        )
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        print(f"timbre data: unknown command {name!r}; see timbre data --help", file=sys.stderr)
        return 2
    module = COMMANDS[name][0]
    if name == "split" and any(_has_pictures(Path(word)) for word in rest):
        module = "training.pictures.dataset.split"
    return run_command(f"data {name}", lambda: importlib.import_module(module).main(rest))


def _has_pictures(folder: Path) -> bool:
    from features.file_kinds import is_picture
    from training.pictures.dataset.archive import holds_pictures
    from training.pictures.dataset.packed import is_pack

    if not folder.is_dir():
        return folder.is_file() and holds_pictures(folder)
    return is_pack(folder) or any(map(is_picture, folder.rglob("*")))


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """Return the options that all commands for sound share."""
    options = argparse.ArgumentParser(prog=f"timbre data {name}", description=about)
    options.add_argument(
        "spec",
        metavar="SPEC",
        help="a folder, a CSV list, MusicNet's .h5 or .npz, or a recipe (.toml) with [collection]",
    )
    options.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a setting, such as collection.kind=audacity, windows.length=3, "
        "split.shares=[0.6,0.2,0.2]",
    )
    return options
