"""Runs inputs through a target and counts the outcomes."""

from collections import Counter

from tests.fuzz.mutation import made
from tests.fuzz.targets import TARGETS

ACCEPTED = "accepted"
FAULT = "FAULT "


def outcome(target, data):
    """`accepted`, the name of an error that says what is wrong, or FAULT and what it was."""
    try:
        target.read(data)
    except target.rejects as error:
        return type(error).__name__ if str(error) else f"{FAULT}{type(error).__name__} says nothing"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{FAULT}{type(error).__name__}: {error}"[:200]
    return ACCEPTED


def run(name, *, seed, numbers, before=lambda number: None):
    """Outcomes of a target, and the input of the first of each fault. before: called for each."""
    target, counts, faults = TARGETS[name], Counter(), {}
    for number in numbers:
        before(number)
        data = made(name, seed, number, target.seeds)
        found = outcome(target, data)
        counts[found] += 1
        if found.startswith(FAULT):
            faults.setdefault(found, data)
    return counts, faults
