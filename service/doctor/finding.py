"""What a check of `timbre doctor` found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["good", "attention", "bad"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    check: str
    """What was checked."""
    state: State
    """Whether it works: `attention` works, but may not for long or not as well as it could."""
    found: str
    """What was seen, with its figures."""
    todo: str = ""
    """What to do; empty where nothing is."""


def good(check: str, found: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, "good", found)


def attention(check: str, found: str, todo: str) -> Finding:
    """Return a finding that works so far."""
    return Finding(check, "attention", found, todo)


def bad(check: str, found: str, todo: str) -> Finding:
    """Return a finding that does not work."""
    return Finding(check, "bad", found, todo)


def graded(check: str, found: str, *, bad_if: bool, attention_if: bool, todo: str) -> Finding:
    """Return the worst that holds of two conditions."""
    if bad_if:
        return bad(check, found, todo)
    return attention(check, found, todo) if attention_if else good(check, found)
