"""What a stream says of a sound, beside what the file of the same sound says.

Three ways in which services are often written stand beside ours: the samples of each message are
resampled by themselves; the last seconds are kept and resampled anew for each window; windows
begin with a message, wherever that is. All have the same features and the same model: only how
samples become windows differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from benchmarks.signals import plucked, wav
from features.config import AudioConfig, Samples, Tensor
from features.decode import decode
from features.extract import extract_many
from features.resample import StreamingResampler
from features.streaming import StreamingExtractor
from models.store import DEFAULT_PATH, Model, Store

TITLE = "Scores of a stream less those of the file"
EXAMPLE = Path(__file__).parent.parent / "examples" / "quartet.ogg"
FULL: dict[str, Any] = {"seconds": 20, "rates": [16_000, 44_100, 48_000], "hop_s": 0.5}
TINY: dict[str, Any] = {**FULL, "seconds": 4, "rates": [44_100]}
MODELS = ("instruments", "instruments-forest")
MESSAGE = 4_096
"""Samples of a message: what a browser and many drivers give at once."""


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return rows: what, name, windows, worst_score, labels_differ (windows with other labels)."""
    given = TINY if tiny else FULL
    store = Store(DEFAULT_PATH, load_timeout=None)
    return [
        row
        for name in MODELS
        for rate in given["rates"]
        for row in _rows(store.load(name), rate, given["seconds"], given["hop_s"])
    ]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line where our stream is not the file to the last bit."""
    return [
        f"{row['what']}: a score differs by {row['worst_score']:g}"
        for row in table
        if row["name"] == "timbre" and row["worst_score"] != 0
    ]


def _rows(model: Model, rate: int, seconds: int, hop_s: float) -> Iterator[dict[str, Any]]:
    config, kind = model.sound
    hop = config.live_hop(hop_s)
    # Of 16 bits, as files and messages have it.
    file = wav(_sound(seconds, rate), rate=rate)
    sound, whole = decode(file, sample_rate=rate), decode(file, sample_rate=config.sample_rate)
    starts = range(0, len(whole) - config.window + 1, hop)
    thresholds = np.array([label.threshold for label in model.manifest.labels])

    def scores(windows: list[Samples]) -> Tensor:
        return model.predict(extract_many(windows, kind=kind, config=config))

    of_file = scores([whole[at : at + config.window] for at in starts])
    ways: dict[str, Callable[[], Tensor]] = {
        "timbre": lambda: model.predict(_streamed(model, sound, rate, hop)[: len(starts)]),
        "each message resampled": lambda: scores(_by_message(config, sound, rate, starts)),
        "each window resampled": lambda: scores(_by_window(config, sound, rate, starts)),
        "windows begin with a message": lambda: scores(_by_arrival(config, whole, rate, starts)),
    }
    for name, way in ways.items():
        found = way()
        differs = np.any((found >= thresholds) != (of_file >= thresholds), axis=1)
        yield {
            "what": f"{model.name}, {rate / 1000:g} kHz, hop {hop_s:g} s",
            "name": name,
            "windows": len(of_file),
            "worst_score": float(np.abs(found - of_file).max()),
            "labels_differ": int(differs.sum()),
        }


def _sound(seconds: int, rate: int) -> Samples:
    """Return the example, and after it plucked notes if it is too short."""
    example = decode(EXAMPLE.read_bytes(), sample_rate=rate)
    return np.concatenate([example, plucked(seconds, rate=rate)])[: seconds * rate]


def _streamed(model: Model, sound: Samples, rate: int, hop: int) -> Tensor:
    """Return the tensors of our stream; messages are of any size."""
    config, kind = model.sound
    resampler = StreamingResampler(rate, config.sample_rate)
    extractor = StreamingExtractor(config, hop=hop, kind=kind)
    rng, at, tensors = np.random.default_rng(0), 0, []
    while at < len(sound):
        count = int(rng.integers(1, 3 * MESSAGE))
        tensors += extractor.feed(resampler.feed(sound[at : at + count]))
        at += count
    tensors += extractor.feed(resampler.finish())
    made = [each.tensor for each in tensors if each.tensor is not None]
    return np.asarray(made, np.float32)


def _by_message(config: AudioConfig, sound: Samples, rate: int, starts: range) -> list[Samples]:
    messages = [sound[at : at + MESSAGE] for at in range(0, len(sound), MESSAGE)]
    samples = np.concatenate([_resampled(each, rate, config) for each in messages])
    return [_cut(samples, at, config) for at in starts]


def _by_window(config: AudioConfig, sound: Samples, rate: int, starts: range) -> list[Samples]:
    first = [round(at * rate / config.sample_rate) for at in starts]
    length = -(-config.window * rate // config.sample_rate)
    return [_cut(_resampled(sound[at : at + length], rate, config), 0, config) for at in first]


def _by_arrival(config: AudioConfig, whole: Samples, rate: int, starts: range) -> list[Samples]:
    message = MESSAGE * config.sample_rate / rate
    begins = [round(round(at / message) * message) for at in starts]
    return [_cut(whole, at, config) for at in begins]


def _resampled(samples: Samples, rate: int, config: AudioConfig) -> Samples:
    return np.asarray(soxr.resample(samples, rate, config.sample_rate, "HQ"), np.float32)


def _cut(samples: Samples, at: int, config: AudioConfig) -> Samples:
    """Return a window; zeros where the sound ends before it."""
    window = samples[at : at + config.window]
    return np.pad(window, (0, config.window - len(window)))
