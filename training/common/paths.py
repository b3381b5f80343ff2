"""The folders that all recipes share: data, cache and reports."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "~/.cache/timbre"
REPORTS = "reports"
"""Beside the artefacts; no model can have a version in it."""


def cache_root(setting: str = "") -> Path:
    """Return the folder of cached data: the recipe's `cache`, else ~/.cache/timbre."""
    return Path(setting or CACHE).expanduser()


def data_root(setting: str = "") -> Path:
    """Return the folder of relative paths: the recipe's `data`, else $TIMBRE_DATA or the default.

    The default is ../shared/data.
    """
    return Path(setting or os.environ.get("TIMBRE_DATA") or "../shared/data")
