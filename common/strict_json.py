"""Writes JSON, the one place that does: NaN and infinity are no JSON. `mapping` reads it."""

from __future__ import annotations

import json
from typing import Any

_ENCODER = json.JSONEncoder(allow_nan=False)
"""json.dumps would make one each time."""


def to_json(value: Any, **options: Any) -> str:
    """Return a value as JSON text. Raises ValueError if a number in it is NaN or infinite.

    options: of json.dumps.
    """
    return json.dumps(value, allow_nan=False, **options) if options else _ENCODER.encode(value)
