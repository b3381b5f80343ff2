"""The eleven instruments, their ranges, and the sample rate of training."""

from __future__ import annotations

from features.config import DEFAULT

RATE = DEFAULT.sample_rate
LABELS = (
    "piano", "harpsichord", "violin", "viola", "cello", "contrabass",
    "horn", "oboe", "bassoon", "clarinet", "flute",
)  # fmt: skip
RANGES = {
    "piano": (24, 103), "harpsichord": (31, 86), "violin": (55, 98), "viola": (48, 86),
    "cello": (36, 79),
    "contrabass": (28, 64), "horn": (36, 77), "oboe": (58, 91), "bassoon": (34, 74),
    "clarinet": (50, 92),
    "flute": (59, 96),
}  # fmt: skip
"""Lowest and highest MIDI pitch that a part of the label plays."""
