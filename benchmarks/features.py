"""The 26 features in one run: ours and librosa's, of a whole window and of a live hop.

librosa is called as its users call it, one function a feature. The sound is seeded: plucked notes
over noise. Both run on one thread with the allocator's defaults; a tuned allocator makes librosa,
not us, up to 1.7 times faster.
"""

from __future__ import annotations

import warnings
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.signals import plucked
from features.config import DEFAULT, Samples
from features.extract import extract
from features.streaming import StreamingExtractor

TITLE = "26 features: ours and librosa, one thread"
BUDGETS = {"window": (0.5, 15.0), "live hop 0.5 s": (0.2, 40.0)}
"""Milliseconds at most, and librosa's median over ours at least."""


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return rows: name, what, median_ms, p10_ms, p90_ms, ratio."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _run(rounds=1 if tiny else 30)


def _run(*, rounds: int) -> list[dict[str, Any]]:
    sound = plucked(12)
    window = sound[: DEFAULT.window]
    whole = {"timbre": lambda: extract(window), "librosa": lambda: _librosa(window)}
    table = measure.rows(measure.in_turn(whole, rounds=rounds), ours="timbre", what="window")
    live = {"timbre": _live(sound), "librosa": lambda: _librosa(window)}
    return table + measure.rows(
        measure.in_turn(live, rounds=rounds), ours="timbre", what="live hop 0.5 s"
    )


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    lines = []
    for row in table:
        limit, least = BUDGETS[row["what"]]
        if row["name"] == "timbre" and row["median_ms"] > limit:
            lines.append(f"{row['what']}: {row['median_ms']:.3f} ms, budget {limit} ms")
        if row["name"] == "librosa" and row["ratio"] < least:
            lines.append(f"{row['what']}: {row['ratio']:.1f} times librosa, budget {least:g}")
    return lines


def _live(sound: Samples) -> Any:
    """Return a function that feeds half a second of an endless stream and gets its window."""
    hop = DEFAULT.live_hop(0.5)
    extractor = StreamingExtractor(hop=hop)
    pieces = cycle([sound[at : at + hop] for at in range(0, sound.size - hop, hop)])
    extractor.feed(sound[: DEFAULT.window - hop])

    def step() -> None:
        (_,) = extractor.feed(next(pieces))

    return step


def _librosa(y: Samples) -> Any:
    import librosa

    rate = DEFAULT.sample_rate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        features = [
            librosa.feature.chroma_stft(y=y, sr=rate),
            librosa.feature.rms(y=y),
            librosa.feature.spectral_centroid(y=y, sr=rate),
            librosa.feature.spectral_bandwidth(y=y, sr=rate),
            librosa.feature.spectral_rolloff(y=y, sr=rate),
            librosa.feature.zero_crossing_rate(y),
            librosa.feature.mfcc(y=y, sr=rate, n_mfcc=DEFAULT.n_mfcc),
        ]
    return np.concatenate([[f.mean()] if len(f) in (1, 12) else f.mean(axis=1) for f in features])
