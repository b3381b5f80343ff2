"""The 26 features in one run: ours, librosa's and the bare FFTs; and bytes to samples.

librosa is called as its users call it, one function a feature. The sound is seeded: plucked notes
over noise. All run on one thread with the allocator's defaults; a tuned allocator makes librosa,
not us, up to 1.7 times faster.
"""

from __future__ import annotations

import warnings
from itertools import cycle
from typing import Any

import numpy as np
import scipy.fft
import soxr

from benchmarks import measure
from benchmarks.signals import pcm, plucked
from features.banks import tables
from features.config import DEFAULT, Samples
from features.extract import extract
from features.resample import StreamingResampler
from features.streaming import StreamingExtractor
from service.encodings import decode_mono

TITLE = "26 features: ours, librosa and bare FFTs, one thread"
RATE = 44_100
"""Hertz of the stereo stream."""
WINDOW, LIVE = "26 features of a window", "26 features, live, per 0.5 s"
SECOND = "1 s of 44.1 kHz stereo to samples"
BUDGETS = {
    (WINDOW, "librosa"): 45.0,
    (WINDOW, "FFTs, float64"): 1 / 1.5,
    (LIVE, "librosa"): 80.0,
}
"""The other's median over ours, at least."""
FULL = {"rounds": 30, "calls": 10, "threads": 1}
TINY = {**FULL, "rounds": 1}


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `measure.rows`, each with `what`."""
    from threadpoolctl import threadpool_limits

    given = TINY if tiny else FULL
    with threadpool_limits(given["threads"]):
        return _run(rounds=given["rounds"], calls=given["calls"])


def _run(*, rounds: int, calls: int) -> list[dict[str, Any]]:
    sound = plucked(12)
    window = sound[: DEFAULT.window]
    frames = _frames(window)
    single = frames.astype(np.float32)
    rival = {"librosa": lambda: librosa_features(window)}
    subjects: dict[str, dict[str, Any]] = {
        WINDOW: {
            "timbre": lambda: extract(window),
            **rival,
            "FFTs, float64": lambda: scipy.fft.rfft(frames, axis=1),
            "FFTs, float32": lambda: scipy.fft.rfft(single, axis=1),
        },
        LIVE: {"timbre": _live(sound), **rival},
        SECOND: _to_samples(),
    }
    return [
        row
        for what, these in subjects.items()
        for row in measure.rows(
            measure.in_turn(these, rounds=rounds, calls=calls),
            ours="timbre",
            block=calls,
            what=what,
        )
    ]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    return [
        f"{row['what']}: {row['name']} takes {row['ratio']:.2f} times as long, budget {least:.3g}"
        for row in table
        if row["ratio"] < (least := BUDGETS.get((row["what"], row["name"]), 0))
    ]


def _frames(window: Samples) -> np.typing.NDArray[np.float64]:
    """Return the windowed frames that librosa transforms, in float64 as it does."""
    half = DEFAULT.n_fft // 2
    padded = np.pad(window, half)
    frames = np.lib.stride_tricks.sliding_window_view(padded, DEFAULT.n_fft)[:: DEFAULT.hop_length]
    return frames * tables(DEFAULT).window


def _to_samples() -> dict[str, Any]:
    """Return subjects that turn a second of messages, 100 ms each, into samples of the model."""
    second = pcm(np.repeat(plucked(1, rate=RATE), 2))
    messages = [
        second[at : at + len(second) // 10] for at in range(0, len(second), len(second) // 10)
    ]
    ours = StreamingResampler(RATE, DEFAULT.sample_rate)
    theirs = soxr.ResampleStream(RATE, DEFAULT.sample_rate, 1, dtype="float32", quality="HQ")

    def timbre() -> None:
        for message in messages:
            ours.feed(decode_mono(message, encoding="pcm_s16le", channels=2))

    def numpy() -> None:
        for message in messages:
            samples = np.frombuffer(message, "<i2").astype(np.float32) / np.float32(32_768)
            theirs.resample_chunk(samples.reshape(-1, 2).mean(axis=1))

    return {"timbre": timbre, "numpy and soxr": numpy}


def _live(sound: Samples) -> Any:
    """Return a function that feeds half a second of an endless stream and gets its window."""
    hop = DEFAULT.live_hop(0.5)
    extractor = StreamingExtractor(hop=hop)
    pieces = cycle([sound[at : at + hop] for at in range(0, sound.size - hop, hop)])
    extractor.feed(sound[: DEFAULT.window - hop])

    def step() -> None:
        (_,) = extractor.feed(next(pieces))

    return step


def librosa_features(y: Samples) -> Any:
    """Return librosa's 26 numbers, one function a feature, as its users call it."""
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
