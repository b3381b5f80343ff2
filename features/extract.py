"""The 26 features, or the log-mel spectrogram, of a window; equal to librosa 0.11."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from common.errors import Unprocessable
from features.banks import Floats
from features.config import DEFAULT, AudioConfig, Kind, Samples
from features.frames import Frames, reach

FEATURE_NAMES: tuple[str, ...] = (
    "chroma", "rms", "centroid", "bandwidth", "rolloff", "zcr", *(f"mfcc{i}" for i in range(1, 21)),
)  # fmt: skip

KEPT = 1_000
"""Frames, some 20 s, up to which a thread keeps its scratch for the next call."""
_local = threading.local()


def extract(samples: Samples, *, config: AudioConfig = DEFAULT) -> Floats:
    """Return the feature vector, float32 (26,): means over frames, in the order of `FEATURE_NAMES`.

    samples: mono float32 (n,) at config.sample_rate, n >= 1. Raises Unprocessable when empty, not
    1-D or not finite. Definitions: librosa 0.11 with its defaults (centred frames, zero padding).
    """
    return compute(samples, kind="features", config=config)


def log_mel(samples: Samples, *, config: AudioConfig = DEFAULT) -> Floats:
    """Return the log-mel spectrogram in dB, float32 (n_mels, 1 + n // hop_length).

    Clipped at 80 dB below its maximum. Equal to librosa's `power_to_db(melspectrogram(y))`. Raises
    Unprocessable as `extract` does.
    """
    return compute(samples, kind="log_mel", config=config)


def compute(samples: Samples, *, kind: Kind, config: AudioConfig = DEFAULT) -> Floats:
    """Return the tensor of the given kind for one window (see `extract` and `log_mel`)."""
    samples = checked(samples)
    count = 1 + samples.size // config.hop_length
    work = _work(config, kind, count)
    half = config.n_fft // 2
    work.signal[half : half + samples.size] = samples
    work.signal[half + samples.size :] = 0
    work.frames.analyse(work.signal, offset=0, real=(half, half + samples.size), row=0, count=count)
    return work.frames.tensor(work.rows)


def extract_many(
    windows: Iterable[Samples], *, kind: Kind = "features", config: AudioConfig = DEFAULT
) -> Floats:
    """Return the tensors of many windows, stacked; each exactly as if computed alone."""
    return np.stack([compute(window, kind=kind, config=config) for window in windows])


def checked(samples: Samples) -> Samples:
    """Return contiguous float32. Raises Unprocessable when empty, not 1-D or not finite."""
    samples = np.ascontiguousarray(samples, np.float32)
    if samples.ndim != 1 or samples.size == 0:
        raise Unprocessable(
            f"samples of shape {samples.shape}: a non-empty one-dimensional array is needed"
        )
    # A sum of squares is finite only if all samples are, and is much faster to compute.
    if not np.isfinite(np.dot(samples, samples)) and not np.isfinite(samples).all():
        raise Unprocessable("samples hold NaN or infinity")
    return samples


class _Work:
    """Scratch memory of a thread for one length: allocation would cost more than the FFTs."""

    def __init__(self, config: AudioConfig, kind: Kind, count: int) -> None:
        self.key = (config, kind, count)
        self.frames = Frames(config, rows=count, kind=kind)
        self.signal = np.zeros(reach(count), np.float32)
        self.rows = np.arange(count)


def _work(config: AudioConfig, kind: Kind, count: int) -> _Work:
    work: _Work | None = getattr(_local, "work", None)
    if work is None or work.key != (config, kind, count):
        work = _Work(config, kind, count)
        if count <= KEPT:
            _local.work = work
    return work
