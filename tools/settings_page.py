#!/usr/bin/env python3
"""Write SETTINGS.md to stdout from the docstrings in service/settings.py."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from service.settings import LOW_MEMORY, Settings  # noqa: E402 - the repository is not on the path before

ABOUT = """# Settings

Every setting of `timbre serve`. This page is generated:
`.venv/bin/python tools/settings_page.py > SETTINGS.md`.

`--host`, `--port`, `--grpc-port`, `--gateways`, `--metrics-port`, `--redis`, `--workers`,
`--artefacts`, `--keys`, `--trainings` and `--insecure` are options of `timbre serve`. Every setting
can be given as
`--set NAME=VALUE`: lists separated by commas, booleans as `true` or `false`. `timbre worker` takes
those that concern it, such as `models`, `max_batch` and `providers`, in the same way. What the
limits promise is in [BEHAVIOUR.md](BEHAVIOUR.md).

| setting | type | default | meaning |
|---|---|---|---|
"""
TYPES = {"int": "integer", "float": "number", "str": "text", "Path": "folder", "bool": "boolean"}


def meanings(kind: type) -> dict[str, str]:
    """Return the docstring of each field of a dataclass, on one line."""
    body = ast.parse(inspect.getsource(kind)).body[0].body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def written(default: object) -> str:
    """Return a default as a person would write it."""
    if isinstance(default, Path):
        default = default.relative_to(ROOT)
    if isinstance(default, bool):
        return str(default).lower()
    return (
        "none"
        if default in {"", ()}
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )


def wrapped(text: str) -> str:
    """Return a paragraph behind the table."""
    return f"\n{textwrap.fill(text, 100, break_on_hyphens=False)}\n"


def page() -> str:
    """Return SETTINGS.md."""
    meaning = meanings(Settings)
    rows = (
        f"| `{field.name}` | {TYPES.get(str(field.type), 'list')} | {written(field.default)} "
        f"| {meaning[field.name]} |\n"
        for field in fields(Settings)
    )
    lower = ", ".join(f"`{name}` {written(limit)}" for name, limit in LOW_MEMORY.items())
    return (
        ABOUT + "".join(rows) + wrapped(f"With `low_memory=true`, unless they are given: {lower}.")
    )


if __name__ == "__main__":
    sys.stdout.write(page())
