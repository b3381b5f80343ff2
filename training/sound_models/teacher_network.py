"""The network of the teacher of `instruments`: embeddings of windows, trained on AudioSet.

The network takes log-mel spectrograms of its own: 128 bands, 100 frames a second, as EfficientAT's
`mn` networks were trained with (32,000 Hz there, 22,050 Hz here, so that what lies above 11,025 Hz
stays empty).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft

from common.atomic import atomic_file
from common.errors import ArtefactError, Unprocessable
from models.session import Session
from training.common.disk import array_on_disk
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.mixtures import WINDOW
from training.sound_models.given_network import known, read_network

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from training.common.progress import Progress
    from training.notes.window_set import WindowSet

    Array = npt.NDArray[np.float32]

BANDS, FFT, FRAME, HOP = 128, 1024, 551, 220
FRAMES = 1 + WINDOW // HOP
_TRAINED_RATE, _TRAINED_FRAME = 32_000, 799
_HIGHEST_HZ = 15_000.0
_PRE_EMPHASIS = 0.97
_PEAK = 0.5
_CHUNK = 8
INPUT, OUTPUT = "mel", "embedding"


def log_mel(samples: Array) -> Array:
    """Return the network's input, (n, 1, 128, 1 + length // 220), of windows (n, length).

    Level does not matter: the peak is set to 0.5.
    """
    peak = np.abs(samples).max(axis=1, keepdims=True)
    level = samples * (_PEAK / np.where(peak > 0, peak, 1)).astype(np.float32)
    padded = np.pad(level, ((0, 0), (FFT // 2, FFT // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT, axis=1)[:, ::HOP]
    power = np.abs(fft.rfft(frames * _window(), axis=2)) ** 2
    mel: Array = (np.log(power @ _filters() + 1e-5) + 4.5) / 5
    return np.ascontiguousarray(mel.transpose(0, 2, 1)[:, None], np.float32)


@lru_cache(maxsize=1)
def _window() -> Array:
    before = (FFT - FRAME) // 2
    return np.pad(np.hanning(FRAME), (before, FFT - FRAME - before)).astype(np.float32)


@lru_cache(maxsize=1)
def _filters() -> Array:
    """Return triangles on Kaldi's mel scale, (513, 128), and what the other rate changes."""
    hertz = np.arange(FFT // 2 + 1) * RATE / FFT
    edges = np.linspace(0, _mel(_HIGHEST_HZ), BANDS + 2)
    low, centre, high = (edges[i : i + BANDS] for i in range(3))
    at = _mel(hertz)[:, None]
    triangles = np.minimum((at - low) / (centre - low), (high - at) / (high - centre)).clip(0)
    emphasis = 1 + _PRE_EMPHASIS**2 - 2 * _PRE_EMPHASIS * np.cos(2 * np.pi * hertz / _TRAINED_RATE)
    level = (_TRAINED_FRAME / (FRAME - 1)) ** 2 * RATE / _TRAINED_RATE
    filters: Array = (triangles * (emphasis * level)[:, None]).astype(np.float32)
    return filters


def _mel(hertz: Any) -> Any:
    return 1127 * np.log1p(np.asarray(hertz) / 700)


def open_teacher(path: Path) -> Session:
    """Return the part of the network from `mel` to `embedding`.

    Raises MaterialError for a file that is no network, or one without these.
    """
    import onnx

    model = read_network(path)
    names = ({one.name for one in model.graph.input}, {one.name for one in model.graph.output})
    if names[0] != {INPUT} or OUTPUT not in names[1]:
        raise MaterialError(
            f"{path} takes {', '.join(sorted(names[0]))} and gives {', '.join(sorted(names[1]))}; "
            f"a teacher takes {INPUT} (n, 1, {BANDS}, frames) and gives {OUTPUT} (n, numbers)"
        )
    part = onnx.utils.Extractor(model).extract_model([INPUT], [OUTPUT])
    # ONNX Runtime's sessions here take one shape.
    part.graph.input[0].type.tensor_type.shape.dim[3].dim_value = FRAMES
    try:
        return Session(part.SerializeToString(), accelerate=False)
    except ArtefactError as error:
        raise MaterialError(f"{path} cannot be run: {error}") from error


def embed(network: Session, samples: Array) -> Array:
    """Return the embeddings (n, numbers) of windows (n, length). Raises MaterialError."""
    try:
        found = network.predict(log_mel(samples))
    except (ArtefactError, Unprocessable) as error:
        raise MaterialError(f"the teacher cannot be run: {error}") from error
    if found.ndim != 2 or len(found) != len(samples) or not np.isfinite(found).all():
        raise MaterialError(
            f"the teacher gave {OUTPUT} of {found.shape} for {len(samples)} windows, or not a "
            f"number; it must be finite, (n, numbers)"
        )
    return found


def embeddings(path: Path, windows: WindowSet, *, progress: Progress | None = None) -> Array:
    """Return the embeddings of all windows, (n, numbers), computed once and kept beside them.

    Raises MaterialError for a file that is no such network.
    """
    network = open_teacher(path)
    kept = windows.folder / f"embedding-{known(path)}.npy"
    if not kept.is_file():
        size = embed(network, windows.read(slice(0, 1))).shape[1]
        with atomic_file(kept) as draft:
            table = array_on_disk(draft, np.float32, (len(windows), size))
            for start in range(0, len(windows), _CHUNK):
                some = slice(start, start + _CHUNK)
                table[some] = embed(network, windows.read(some))
                if progress:
                    progress(min(start + _CHUNK, len(windows)), len(windows))
            table.flush()
    found: Array = np.load(kept, mmap_mode="r")
    return found
