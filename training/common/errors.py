"""Errors of training data that is missing or cannot be used."""

from __future__ import annotations

from common.errors import TimbreError


class MaterialError(TimbreError):
    """Material to train on is missing or cannot be read; the message has a remedy."""

    title = "No material"
