"""Which class of a model each folder is: by whole names, never by a shared word."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_WORDNET = re.compile(r"(n\d{8})\s+(.+)")
_GAP = re.compile(r"[\s_-]+")


@dataclass(frozen=True)
class Matched:
    """What the folders of a collection are to a model."""

    by_folder: dict[str, int]
    """The number of its class."""
    unknown: list[str]
    """Folders that are no class."""
    ambiguous: dict[str, list[str]]
    """Folders whose name is that of several classes."""


def read_classes(path: Path) -> list[str]:
    """Return the classes of a file, in the order of the scores: one a line, or a JSON list.

    Raises MaterialError for a file that cannot be read, and for a class without a name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MaterialError(f"no file of classes {path}") from None
    except UnicodeDecodeError as error:
        raise MaterialError(f"{path} is not UTF-8: {error}") from error
    lines: object = text.splitlines()
    if path.suffix == ".json":
        try:
            lines = json.loads(text)
        except ValueError as error:
            raise MaterialError(f"{path} is not JSON: {error}") from error
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise MaterialError(f"{path} must be a list of names")
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        empty = names.index("") + 1 if names else 1
        raise MaterialError(f"{path}: class {empty} has no name")
    return names


def match_folders(folders: Iterable[str], classes: Sequence[str]) -> Matched:
    """Return the class of each folder.

    A folder is the class whose name it has; else the one of whose names, joined by commas, it has
    one. Case, and spaces, hyphens or underscores between words, make no difference. ImageNet's
    `n01440764 tench, Tinca tinca` has three names.
    """
    exact = {name: number for number, name in enumerate(classes)}
    whole, partial = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for number, name in enumerate(classes):
        whole[_plain(name)].append(number)
        for each in dict.fromkeys(map(_plain, names_of(name))):
            partial[each].append(number)
    found, unknown, ambiguous = dict[str, int](), [], {}
    for folder in folders:
        numbers = [exact[folder]] if folder in exact else whole.get(_plain(folder), [])
        numbers = numbers or partial.get(_plain(folder), [])
        if len(numbers) == 1:
            found[folder] = numbers[0]
        elif numbers:
            ambiguous[folder] = [classes[number] for number in numbers]
        else:
            unknown.append(folder)
    return Matched(found, unknown, ambiguous)


def names_of(name: str) -> list[str]:
    """Return all names of a class: WordNet's number, and those between commas."""
    numbered = _WORDNET.fullmatch(name)
    first = [numbered[1]] if numbered else []
    return first + [each.strip() for each in (numbered[2] if numbered else name).split(",")]


def is_one_word(name: str) -> bool:
    """Return whether the first name of a class, without WordNet's number, is a single word."""
    names = names_of(name)
    first = names[1] if _WORDNET.fullmatch(name) else names[0]
    return len(_plain(first).split()) == 1


def _plain(name: str) -> str:
    return _GAP.sub(" ", unicodedata.normalize("NFC", name)).strip().casefold()
