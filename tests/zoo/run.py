"""Decodes the files of the zoo and counts what came of them."""

from collections import Counter, defaultdict

from common.errors import InputError
from features.decode import decode_sound

OUTCOMES = ("right", "warned", "rejected", "LOST", "FAULT")
TOLD = {"truncated", "trailing", "damaged", "tracks"}


def outcome(file):
    """Return one of OUTCOMES.

    LOST: sound is missing, and nothing says so. FAULT: an error that no client may see.
    """
    try:
        found = decode_sound(file.data, ffmpeg=file.ffmpeg)
    except InputError:
        return "rejected"
    except Exception:  # noqa: BLE001 every other error is a fault, and is counted as one
        return "FAULT"
    if TOLD & {each.kind for each in found.warnings}:
        return "warned"
    return "right" if abs(found.seconds - file.seconds) <= file.slack else "LOST"


def table(files):
    """Return how many files of each kind had which outcome, and the files that were bad."""
    counts, bad = defaultdict(Counter), []
    for file in files:
        found = outcome(file)
        counts[file.kind][found] += 1
        if found in ("LOST", "FAULT"):
            bad.append(f"{found}: {file.kind}, {file.name}")
    return counts, bad
