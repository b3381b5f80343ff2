"""Searches for hyper-parameters: any estimator over any grid, and all cuts of a forest at once."""

from __future__ import annotations

from typing import Any

__all__ = ["BySource", "ForestPathSearchCV", "ResumableGridSearchCV", "SearchError"]
_PLACES = {
    "BySource": "training.search.splits",
    "ForestPathSearchCV": "training.search.path",
    "ResumableGridSearchCV": "training.search.grid",
    "SearchError": "training.search.splits",
}


def __getattr__(name: str) -> Any:
    """Return a class of the table above, imported when it is used: scikit-learn loads slowly."""
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
