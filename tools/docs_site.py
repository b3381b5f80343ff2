#!/usr/bin/env python3
"""Gather the documents in build/docs, as they lie in the repository, and write the reference."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib.metadata import EntryPoint
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from settings_page import meanings  # noqa: E402 - the repository is not on the path before

from common.strict_json import to_json  # noqa: E402
from models.manifest import InputSpec, Label, Manifest  # noqa: E402
from service.api_description.asyncapi import asyncapi  # noqa: E402
from service.api_description.openapi import openapi  # noqa: E402
from service.settings import Settings  # noqa: E402

SHOWN = (
    "*.md",
    "LICENSE",
    "docs/**/*",
    "deploy/**/*",
    "examples/**/*",
    "training/recipes/*.toml",
    "models/backbones/*.md",
    "benchmarks/results/page.html",
    "benchmarks/scale.md",
    "service/page/static/*.js",
)
"""What the documents show or point at. At the same paths, so that their links stay as they are."""
SUB_COMMANDS = re.compile(r"^ {2,6}([a-z]+)(?: {2,}\S|$)", re.MULTILINE)


def gather(target: Path) -> None:
    """Copy the documents, and what they point at, to an empty folder."""
    shutil.rmtree(target, ignore_errors=True)
    for path in (path for pattern in SHOWN for path in ROOT.glob(pattern) if path.is_file()):
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def helps() -> Iterator[tuple[str, str]]:
    """Yield each command, and each command of a command, with what its --help prints."""
    os.environ["COLUMNS"] = "86"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for command, value in sorted(project["entry-points"]["timbre.commands"].items()):
        main = EntryPoint(command, value, "timbre.commands").load()
        text = help_of(main)
        yield f"timbre {command}", text
        for name in dict.fromkeys(SUB_COMMANDS.findall(text)):
            # What takes no command, or has no help of its own, answers with the same text.
            if (inner := help_of(main, name)) not in ("", text):
                yield f"timbre {command} {name}", inner


def help_of(main: Callable[[list[str]], int], *command: str) -> str:
    """Return what `main(command + --help)` prints; "" where there is no such command."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main([*command, "--help"])
        except SystemExit as end:
            return output.getvalue().strip() if not end.code else ""
    return output.getvalue().strip()


def command_line() -> str:
    """Return the page of all commands."""
    sections = (
        f"{'##' if command.count(' ') == 1 else '###'} {command}\n\n```text\n{text}\n```\n"
        for command, text in helps()
    )
    return "\n".join(("# Command line\n\nWhat `--help` prints, of every command.\n", *sections))


def recipes() -> str:
    """Return the page of all recipes."""
    text = "# Recipes\n\nThe files of `training/recipes`, for `timbre train`: every setting.\n"
    for path in sorted((ROOT / "training" / "recipes").glob("*.toml")):
        text += f"\n## {path.stem}\n\n```toml\n{path.read_text(encoding='utf-8').strip()}\n```\n"
    return text


def manifest() -> str:
    """Return the page of the fields of manifest.json."""
    text = "# Manifest\n\nThe fields of `models/artefacts/NAME/VERSION/manifest.json`.\n"
    kinds = {"The manifest": Manifest, "An entry of labels": Label, "The input": InputSpec}
    for title, kind in kinds.items():
        meaning = meanings(kind)
        rows = (
            f"| `{field.name}` | `{str(field.type).replace('|', chr(92) + '|')}` "
            f"| {meaning[field.name]} |\n"
            for field in fields(kind)
        )
        text += f"\n## {title}\n\n| field | type | meaning |\n|---|---|---|\n{''.join(rows)}"
    return text


def main() -> None:
    """Write everything to build/docs, or to the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", type=Path, default=ROOT / "build" / "docs")
    target = parser.parse_args().target
    gather(target)
    pages = {
        "command-line.md": command_line(),
        "recipes.md": recipes(),
        "manifest.md": manifest(),
        "openapi.json": to_json(openapi(Settings())),
        "asyncapi.json": to_json(asyncapi(Settings())),
    }
    (target / "reference").mkdir()
    for name, text in pages.items():
        (target / "reference" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
