"""Errors of training data that is missing or cannot be used, and of a full disk."""

from __future__ import annotations

import errno

from common.errors import TimbreError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The error numbers of a disk without room, a quota that is used up and a file too large."""


class MaterialError(TimbreError):
    """Material to train on is missing or cannot be read; the message has a remedy."""

    title = "No material"
