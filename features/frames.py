"""Analysed frames, and the tensor of a window of them."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import scipy.fft

from common.errors import Unprocessable
from features import layout
from features.banks import TUNING_EDGES, Floats, Integers, chroma_bank, tables
from features.config import AudioConfig, Kind, Samples
from features.kernel_loader import address, entries
from features.layout import LANES, PEAKS

_local = threading.local()


class Frames:
    """One row per analysed frame of one stream or thread."""

    def __init__(self, config: AudioConfig, *, rows: int, kind: Kind) -> None:
        if (config.n_fft, config.hop_length) != (layout.N_FFT, layout.HOP):
            raise Unprocessable(
                f"n_fft {config.n_fft} and hop_length {config.hop_length}: "
                "only 2048 and 512 are built"
            )
        self.config, self.kind = config, kind
        self._full = kind == "features"
        # The kernels get addresses only: keep the arrays alive.
        self._tables = tables(config)
        self._given = self._tables.given
        self._entries = entries()
        full_rows = rows if self._full else 0
        self._stats = np.zeros((full_rows, 6))
        self._mel = np.zeros((rows, config.n_mels), np.float32)
        self._power = np.zeros((full_rows, layout.BINS), np.float32)
        self._notes = np.zeros((full_rows, PEAKS), np.float32)
        self._heights = np.zeros((full_rows, PEAKS), np.float32)
        self._counts = np.zeros(full_rows, np.int64)
        self._tuned = np.zeros(full_rows, np.int64)
        rows_of = (
            self._stats,
            self._mel,
            self._power,
            self._notes,
            self._heights,
            self._counts,
            self._tuned,
        )
        self._rows = np.array([address(each) for each in rows_of])

    def analyse(
        self, signal: Samples, *, offset: int, real: tuple[int, int], row: int, count: int
    ) -> None:
        """Analyse `count` frames of `signal` from `offset` on, 512 apart, into rows from `row` on.

        `real` says which samples are no padding. `signal` must hold 2048 samples behind the last
        block of eight frames.
        """
        places = (address(self._given), _scratch(), address(self._rows), address(signal))
        self._entries["analyse"](*places, offset, *real, row, count, self._full)
        mel = self._mel[row : row + count]
        np.maximum(mel, np.float32(1e-10), out=mel)
        np.log10(mel, out=mel)
        np.multiply(mel, np.float32(10), out=mel)
        if self._full:
            # numpy's own float32 logarithm, because one unit in the last place can move a peak to
            # the next bin.
            notes = self._notes[row : row + count]
            np.log2(notes, out=notes)

    def tensor(self, rows: Integers) -> Floats:
        """Return the tensor of the window of these rows, float32 (26,) or (n_mels, frames)."""
        decibels = self._mel[rows]
        np.maximum(decibels, decibels.max() - np.float32(80), out=decibels)
        if not self._full:
            return np.ascontiguousarray(decibels.T)
        window = (address(rows), rows.size, address(self._rows))
        tuning = self._entries["tuning_bin"](
            *window, address(TUNING_EDGES), address(_heights(rows.size))
        )
        vector = np.empty(6 + self.config.n_mfcc, np.float32)
        bank = chroma_bank(self.config, tuning)
        self._entries["summarise"](*window, tuning, address(bank), address(vector))
        # Frame by frame in float32, with the rounding of librosa: it is visible in means near zero.
        cepstra = scipy.fft.dct(decibels, type=2, norm="ortho", axis=1, overwrite_x=True)
        vector[6:] = cepstra[:, : self.config.n_mfcc].mean(axis=0, dtype=np.float64)
        return vector


def reach(count: int) -> int:
    """Samples from the first sample of `count` frames to the end of their last block of eight."""
    blocks = -(-count // LANES)
    return (blocks * LANES - 1) * layout.HOP + layout.N_FFT


def _scratch() -> int:
    """Return the address of this thread's scratch of 260 kB for one block of eight frames."""
    if not hasattr(_local, "scratch"):
        half, bins = layout.HALF * LANES, layout.BINS * LANES
        columns = _aligned(layout.HOP * layout.STRIDE, np.float32)
        parts = [_aligned(half, np.float64) for _ in range(2)]
        _local.blocks = (columns, *parts, _aligned(bins, np.float32), _aligned(bins, np.float32))
        _local.scratch = np.array([address(each) for each in _local.blocks])
    return address(_local.scratch)


def _heights(rows: int) -> npt.NDArray[np.float32]:
    """Return this thread's scratch for all peaks of a window."""
    if not hasattr(_local, "heights") or _local.heights.size < rows * PEAKS:
        _local.heights = np.empty(rows * PEAKS, np.float32)
    heights: npt.NDArray[np.float32] = _local.heights
    return heights


def _aligned(size: int, dtype: type) -> npt.NDArray[np.floating]:
    """Return zeros aligned to a cache line: a vector across two lines costs twice."""
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)
