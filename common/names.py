"""Names of labels, sources and files: their one form, which are alike, which cannot be used."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
_NAMES = {
    "train": ("train", "training", "trn"),
    "valid": ("val", "valid", "validate", "validation", "dev"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout"),
}
_ROLES = {name: part for part, names in _NAMES.items() for name in names}
_FILLERS = {
    *("audio", "clips", "data", "dataset", "files", "images", "img", "imgs", "part", "photos"),
    *("pictures", "recordings", "samples", "seg", "set", "sounds", "split", "subset", "wav"),
}


def tidy(text: str) -> str:
    """Return a name with composed letters (NFC), single blanks inside and none around."""
    return " ".join(unicodedata.normalize("NFC", text.translate(_INVISIBLE)).split())


def alike(name: str) -> str:
    """Return the same text for names that only differ in case, blanks or the form of letters."""
    return unicodedata.normalize("NFKC", tidy(name)).casefold()


def difference(one: str, other: str) -> str:
    """Return in words how two names differ that are alike."""
    if tidy(one).casefold() == tidy(other).casefold() and tidy(one) != tidy(other):
        return f"{one!r} and {other!r} differ only by case"
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return (
            f"{one!a} and {other!a} look the same, {tidy(one)}: letters with accents are "
            "composed in one and decomposed in the other"
        )
    return f"{one!a} and {other!a} differ only by blanks or the form of their letters"


def check_name(name: str) -> str:
    """Return why a name of a file or label cannot be used, or ""."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"its name is not UTF-8 ({name!a}): rename it"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return f"its name has control characters ({name!a}): rename it"
    if (right := _unspoilt(name)) != name:
        return f"its name was decoded wrongly, {name!r} for {right!r}: rename it"
    return ""


def _unspoilt(name: str) -> str:
    """Return what a name was before UTF-8 was read as Windows-1252 or as a DOS code page."""
    for page in ("cp1252", "latin-1", "cp437", "cp850"):
        try:
            right = name.encode(page).decode()
        except UnicodeError:
            continue
        if right != name and right.isprintable():
            return right
    return name


def part_named(name: str) -> str:
    """Return train, valid or test for a name such as Training, val2017 or test_images, else ""."""
    words = re.findall(r"[^\W\d_]+", name.casefold())
    roles = [_ROLES[word] for word in words if word in _ROLES]
    others = [word for word in words if word not in _ROLES and word not in _FILLERS]
    return roles[0] if len(roles) == 1 and not others else ""
