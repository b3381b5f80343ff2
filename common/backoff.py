"""Pauses between attempts that follow each other for as long as it takes, also for months. Pure."""

from __future__ import annotations

MOST_DOUBLINGS = 64
"""A float has no room for 1,024."""


def pause_s(failed: int, *, first_s: float, longest_s: float) -> float:
    """Return the seconds before the next attempt: twice as long each time, up to the longest.

    failed: attempts before the last one that failed, 0 or more.
    """
    return min(longest_s, first_s * 2.0 ** min(failed, MOST_DOUBLINGS))
