"""The 26 features, or the log-mel spectrogram, of a window; equal to librosa 0.11."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.errors import Unprocessable
from features.banks import TUNING_EDGES, Floats, Integers, Tables, chroma_bank, tables
from features.config import DEFAULT, AudioConfig, Kind, Samples
from features.dct import dct
from features.kernels import layout
from features.kernels.layout import LANES, PEAKS
from features.kernels.loader import address, entries

FEATURE_NAMES: tuple[str, ...] = (
    "chroma", "rms", "centroid", "bandwidth", "rolloff", "zcr", *(f"mfcc{i}" for i in range(1, 21)),
)  # fmt: skip

KEPT = 1_000
"""Frames, some 20 s, up to which a thread keeps its scratch for the next call."""
TOGETHER = 256
"""Frames that are analysed by one call: it bounds what a thread needs for their logarithms."""
_EDGES = address(TUNING_EDGES)
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
    """Return the tensor of the given kind for one window (see `extract` and `log_mel`).

    samples: a copy of the window.
    """
    samples = checked(samples)
    if kind == "samples":
        return samples.copy()
    count = 1 + samples.size // config.hop_length
    work = _work(config, kind, count)
    half = config.n_fft // 2
    work.signal[half : half + samples.size] = samples
    work.signal[half + samples.size :] = 0
    real = half, half + samples.size
    work.analysis.analyse(work.signal, offset=0, real=real, rows=work.rows.addresses)
    return work.analysis.tensor(work.rows.addresses)


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
    """Memory of a thread for one length: allocation would cost more than the FFTs."""

    def __init__(self, config: AudioConfig, kind: Kind, count: int) -> None:
        self.key = (config, kind, count)
        self.analysis = Analysis(config, kind=kind)
        self.signal = np.zeros(reach(count), np.float32)
        self.rows = self.analysis.make_rows(count)


def _work(config: AudioConfig, kind: Kind, count: int) -> _Work:
    work: _Work | None = getattr(_local, "work", None)
    if work is None or work.key != (config, kind, count):
        work = _Work(config, kind, count)
        if count <= KEPT:
            _local.work = work
    return work


class Rows:
    """Memory for what is kept of some frames (kernels/layout.py), as long as this lives."""

    def __init__(self, count: int, width: int) -> None:
        """width: of a row, in float32 values."""
        self.values = np.empty((count, width), np.float32)
        """The parts of rows are views of it, or are written by the kernels."""
        self.addresses = _offsets(count, self.values.itemsize * width) + address(self.values)


@lru_cache(maxsize=8)
def _offsets(count: int, step: int) -> Integers:
    return np.arange(count) * step


class Analysis:
    """Analyses frames into rows, and windows of rows into tensors; keeps nothing of them.

    A row is an address of memory that `make_rows` has made.
    """

    def __init__(self, config: AudioConfig, *, kind: Kind) -> None:
        if (config.n_fft, config.hop_length) != (layout.N_FFT, layout.HOP):
            raise Unprocessable(
                f"n_fft {config.n_fft} and hop_length {config.hop_length}: "
                "only 2048 and 512 are built"
            )
        self.config, self.kind = config, kind
        self._full = kind == "features"
        self._mel_at = layout.MEL_AT if self._full else 0
        # The kernels get addresses only: keep the arrays alive.
        self._tables = tables(config)
        self._table_addresses = _addresses_of(self._tables)
        self._of_tables = address(self._table_addresses)
        self._cosines = address(self._tables.cosines), address(self._tables.turns)
        self._entries = entries()
        self.width = self._mel_at // 4 + config.n_mels
        """Of a row, in float32 values."""

    def make_rows(self, count: int) -> Rows:
        """Return memory for so many frames."""
        return Rows(count, self.width)

    def analyse(
        self, signal: Samples, *, offset: int, real: tuple[int, int], rows: Integers
    ) -> None:
        """Analyse frames of `signal` from `offset` on, 512 apart, one for each row.

        `real` says which samples are no padding. `signal` must hold 2048 samples behind the last
        block of eight frames.
        """
        for first in range(0, rows.size, TOGETHER):
            part = rows[first : first + TOGETHER]
            self._analyse(signal, offset + first * layout.HOP, real, part)

    def _analyse(self, signal: Samples, offset: int, real: tuple[int, int], rows: Integers) -> None:
        bands, mel_at, full = self.config.n_mels, self._mel_at, self._full
        of_rows, mel, notes, out = address(rows), *_logarithms(rows.size, bands)
        places = self._of_tables, _scratch(), of_rows, out, address(signal)
        most = self._entries["analyse"](*places, offset, *real, rows.size, full)
        np.maximum(mel, np.float32(1e-10), out=mel)
        np.log10(mel, out=mel)
        np.multiply(mel, np.float32(10), out=mel)
        if most:
            # numpy's own float32 logarithm, because one unit in the last place can move a peak to
            # the next bin.
            np.log2(notes[:, :most], out=notes[:, :most])
        self._entries["keep"](of_rows, rows.size, out, bands, mel_at, _EDGES, full)

    def uncount_crossing(self, values: Floats) -> None:
        """Take one crossing of zero from each of these rows, (count, width)."""
        if self._full:
            values[:, :12].view(np.float64)[:, layout.CROSSINGS] -= 1 / layout.N_FFT

    def tensor(self, rows: Integers) -> Floats:
        """Return the tensor of the window of these rows, float32 (26,) or (n_mels, frames)."""
        if not self._full:
            return np.ascontiguousarray(self._decibels(rows).T)
        window = address(rows), rows.size
        tuning = self._entries["tuning_bin"](*window, _heights(rows.size))
        vector = np.empty(6 + self.config.n_mfcc, np.float32)
        bank, out = chroma_bank(self.config, tuning), address(vector)
        self._entries["summarise"](*window, tuning, address(bank), out)
        if self.config.n_mels == layout.BANDS:
            cepstra = out + 6 * vector.itemsize
            self._entries["mean_cepstra"](*window, *self._cosines, cepstra, self.config.n_mfcc)
        else:
            # Frame by frame in float32, with the rounding of librosa, as the kernel does.
            each = dct(self._decibels(rows))[:, : self.config.n_mfcc]
            vector[6:] = each.mean(axis=0, dtype=np.float64)
        return vector

    def _decibels(self, rows: Integers) -> Floats:
        """Return the mel bands of these rows, clipped at 80 dB below their maximum."""
        bands = self.config.n_mels
        decibels = np.empty((rows.size, bands), np.float32)
        self._entries["gather_mel"](
            address(rows), rows.size, bands, self._mel_at, address(decibels)
        )
        np.maximum(decibels, decibels.max() - np.float32(80), out=decibels)
        return decibels


def reach(count: int) -> int:
    """Samples from the first sample of `count` frames to the end of their last block of eight."""
    blocks = -(-count // LANES)
    return (blocks * LANES - 1) * layout.HOP + layout.N_FFT


def _scratch() -> int:
    """Return the address of this thread's scratch of 260 kB for one block of eight frames."""
    if not hasattr(_local, "scratch"):
        columns = _aligned(layout.HOP * layout.STRIDE, np.float32)
        transform = _aligned(layout.HALF * layout.PAIR, np.float64)
        bins = [_aligned(layout.BINS * LANES, np.float32) for _ in range(3)]
        _local.blocks = (columns, transform, *bins)
        _local.places = np.array([address(each) for each in _local.blocks])
        _local.scratch = address(_local.places)
    scratch: int = _local.scratch
    return scratch


def _logarithms(count: int, bands: int) -> tuple[Floats, Floats, int]:
    """Return this thread's mel bands and notes of so many frames, and the address of both's."""
    if getattr(_local, "bands", None) != bands or len(_local.mel) < count:
        _local.bands = bands
        _local.mel = np.empty((count, bands), np.float32)
        _local.notes = np.empty((count, PEAKS), np.float32)
        _local.logarithms = np.array([address(_local.mel), address(_local.notes)])
        _local.of_logarithms = address(_local.logarithms)
    return _local.mel[:count], _local.notes[:count], _local.of_logarithms


def _heights(rows: int) -> int:
    """Return the address of this thread's scratch for all peaks of a window."""
    if not hasattr(_local, "heights") or _local.heights.size < rows * PEAKS:
        _local.heights = np.empty(rows * PEAKS, np.float32)
        _local.of_heights = address(_local.heights)
    heights: int = _local.of_heights
    return heights


def _addresses_of(tables: Tables) -> Integers:
    """Return the arguments of the kernels: addresses of tables, number of bands, `peak_bins`."""
    arrays = (
        tables.half_window, tables.twiddles, tables.untangle, tables.places, tables.mel_start,
        tables.mel_offset, tables.mel_weights, tables.bin_hz,
    )  # fmt: skip
    addresses = [address(each) for each in arrays]
    return np.array([*addresses, tables.mel_start.size, *tables.peak_bins])


def _aligned(size: int, dtype: type) -> npt.NDArray[np.floating]:
    """Return zeros aligned to a cache line: a vector across two lines costs twice."""
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)
