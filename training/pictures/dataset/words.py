"""Splits names into words: lower case, without accents, stop words and plurals."""

from __future__ import annotations

import re
import unicodedata

STOP = {
    "a", "an", "and", "as", "at", "by", "clipart", "de", "des", "du", "for", "from", "free",
    "icon", "image", "img", "in", "into", "la", "le", "les", "of", "on", "or", "over", "photo",
    "pic", "picture", "svg", "the", "to", "under", "vector", "with", "without",
}  # fmt: skip
IRREGULAR = {
    "calves": "calf", "children": "child", "feet": "foot", "geese": "goose", "halves": "half",
    "hooves": "hoof", "indices": "index", "knives": "knife", "leaves": "leaf", "lives": "life",
    "loaves": "loaf", "men": "man", "mice": "mouse", "oxen": "ox", "people": "person",
    "potatoes": "potato", "scarves": "scarf", "shelves": "shelf", "teeth": "tooth",
    "thieves": "thief", "tomatoes": "tomato", "wives": "wife", "wolves": "wolf", "women": "woman",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_FOLDED = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ł": "l", "Ł": "L"}
)


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in the singular: `Two-DogsRunning_03` gives two, dog, running."""
    plain = (
        unicodedata.normalize("NFKD", name.translate(_FOLDED)).encode("ascii", "ignore").decode()
    )
    plain = re.sub(r"['`]s?\b", "", plain)
    found = (word.lower() for word in _WORD.findall(plain))
    return tuple(singular(word) for word in found if word not in STOP and len(word) > 1)


def singular(word: str) -> str:
    """Return the singular of an English word; `bus`, `glass` and `iris` are not plurals."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    for ending, instead in (
        ("ies", "y"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("sses", "ss"),
        ("xes", "x"),
        ("zes", "ze"),
    ):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word.removesuffix("s")
