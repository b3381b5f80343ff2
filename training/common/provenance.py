"""What is needed to make an artefact again: its recipe as a file, its seed, the commit."""

from __future__ import annotations

import dataclasses
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any, ClassVar, Protocol

from common.strict_json import to_json


class AnyRecipe(Protocol):
    """A dataclass of settings with a seed, as every recipe is."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def seed(self) -> int:
        """The seed of everything random."""


WHERE = ("data", "cache", "jobs", "profile", "profiles", "save_weights")
"""Fields of paths and speed that do not change an artefact; a profile is in the other fields."""


def origin(recipe: AnyRecipe) -> dict[str, Any]:
    """Return the manifest's origin: `recipe` (TOML text), `seed`, `commit`, `python`."""
    return {
        "recipe": to_toml(recipe),
        "seed": recipe.seed,
        "commit": commit(),
        "python": platform.python_version(),
    }


def to_toml(recipe: AnyRecipe) -> str:
    """Return the recipe with profile and changes applied, as TOML that `timbre train` reads."""
    fields = {key: value for key, value in dataclasses.asdict(recipe).items() if key not in WHERE}
    sections = {key: value for key, value in fields.items() if isinstance(value, dict)}
    tables = {key: value for key, value in fields.items() if _is_tables(value)}
    parts = [
        _lines({key: value for key, value in fields.items() if key not in {*sections, *tables}})
    ]
    parts += [f"[{key}]\n{_lines(section)}" for key, section in sections.items() if section]
    parts += [f"[[{key}]]\n{_lines(entry)}" for key, entries in tables.items() for entry in entries]
    return "\n".join(parts)


def commit() -> str:
    """Return the commit of this code, `-changed` after it if files differ; "" without git."""
    folder = Path(__file__).parent
    if not shutil.which("git"):
        return ""
    answers = [
        subprocess.run(  # noqa: S603
            ["git", *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    if any(answer.returncode for answer in answers):
        return ""
    return answers[0].stdout.strip() + ("-changed" if answers[1].stdout.strip() else "")


def _is_tables(value: Any) -> bool:
    return bool(value) and isinstance(value, tuple) and isinstance(value[0], dict)


def _lines(section: dict[str, Any]) -> str:
    # TOML's texts, numbers, truths and lists are those of JSON; a key may always stand in quotes.
    return "".join(
        _below(_key(key), value)
        if isinstance(value, dict)
        else f"{_key(key)} = {to_json(value, ensure_ascii=False)}\n"
        for key, value in section.items()
    )


def _below(outer: str, section: dict[str, Any]) -> str:
    """Return the settings of a section within a section, by dotted keys."""
    return "".join(f"{outer}.{line}\n" for line in _lines(section).splitlines())


def _key(key: str) -> str:
    return (
        key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else to_json(key)
    )
