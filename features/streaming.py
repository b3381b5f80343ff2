"""Features of a live stream: each frame is computed once, whatever the overlap of the windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.errors import Unprocessable
from features.banks import Integers
from features.config import DEFAULT, AudioConfig, Kind, Samples, Tensor
from features.extract import Frames, checked, compute, reach
from features.layout import LANES

PIECE = 8 * 512
"""Samples processed at one time, kept besides a window."""


class Window(NamedTuple):
    """A window and its tensor; positions in samples at `config.sample_rate` from sample 0."""

    start: int
    end: int
    tensor: Tensor | None
    """None if `should_compute` skipped it."""


class StreamingExtractor:
    """Splits chunks of any size into windows; each tensor equals `compute` on the same samples.

    Windows begin at the multiples of `hop`, counted from sample 0, that are not before
    `first_sample`; they depend on the samples alone, not on the chunks. Only the frames at a
    window's two ends see its zero padding; all others are shared between windows. Bounded memory:
    one window of samples and frames. Not thread-safe.

    hop: samples, a multiple of config.hop_length and at most config.window, else Unprocessable.
    """

    def __init__(
        self,
        config: AudioConfig = DEFAULT,
        *,
        hop: int,
        kind: Kind = "features",
        first_sample: int = 0,
    ) -> None:
        if hop % config.hop_length or not 0 < hop <= config.window:
            raise Unprocessable(
                f"hop {hop}: must be a multiple of {config.hop_length} from 1 to {config.window} "
                "samples"
            )
        if first_sample < 0:
            raise Unprocessable(f"first_sample {first_sample}: must not be negative")
        if config.window < config.n_fft:
            raise Unprocessable(
                f"window {config.window}: a live stream needs at least {config.n_fft} samples"
            )
        self.config, self.hop, self.kind = config, hop, kind
        self.position = first_sample
        """Index of the next sample to be fed."""
        self._next = -(-first_sample // hop) * hop
        self._covered = first_sample
        self._core: _Core | None = None  # made by the first samples: an idle stream costs nothing

    @property
    def pending(self) -> int:
        """Samples fed that are in no window yet."""
        return self.position - self._covered

    @property
    def due(self) -> int:
        """End of the next window, a sample index."""
        return self._next + self.config.window

    def feed(
        self, samples: Samples, *, should_compute: Callable[[int], bool] | None = None
    ) -> list[Window]:
        """Return the windows that a chunk, float32 (n,), completes.

        should_compute: whether to compute the window that starts at a sample index; frames only in
        skipped windows are not computed. Raises Unprocessable if the samples are not finite.
        """
        if len(samples) == 0:
            return []
        samples = checked(samples)
        core = self._core = self._core or _Core(
            self.config, hop=self.hop, kind=self.kind, start=self._next
        )
        windows = []
        size = min(PIECE, self.hop)
        for at in range(0, samples.size, size):
            piece = samples[at : at + size]
            # Samples before the first window are in none.
            core.append(piece[max(0, self._next - self.position) :])
            self.position += piece.size
            while self.position >= self._next + self.config.window:
                tensor = (
                    core.tensor() if should_compute is None or should_compute(self._next) else None
                )
                core.move()
                windows.append(Window(self._next, self._next + self.config.window, tensor))
                self._covered = self._next + self.config.window
                self._next += self.hop
        return windows

    def finish(self) -> list[Window]:
        """Return the zero-padded last window, if any; its `end` is the end of the sound."""
        if self._core is None or self.position <= max(self._covered, self._next):
            return []
        rest = self._core.samples()
        padded = np.pad(rest, (0, self.config.window - rest.size))
        self._covered = self.position
        return [
            Window(self._next, self.position, compute(padded, kind=self.kind, config=self.config))
        ]


class _Core:
    """The samples from the next window's start on, and the frames computed from them so far."""

    def __init__(self, config: AudioConfig, *, hop: int, kind: Kind, start: int) -> None:
        self._config, self._hop, self._start = config, hop, start
        step, half = config.hop_length, config.n_fft // 2
        # A frame between these two, counted from its window's start, lies inside the window: no
        # padding in it.
        self._first, self._last = half // step, (config.window - half) // step
        self._ring = self._last - self._first + 1
        self._frame = start // step + self._first
        self._frames = Frames(config, rows=self._ring + LANES, kind=kind)
        self._buffer = np.zeros(config.window + min(PIECE, hop) + reach(LANES), np.float32)
        self._size = 0
        # Rows behind those of the ring are the edges'; of eight only the outer four are frames.
        self._cycle = np.tile(np.arange(self._ring), 2)
        self._order = self._ring + np.array([0, 1, *[0] * self._ring, LANES - 2, LANES - 1])

    def append(self, samples: Samples) -> None:
        self._buffer[self._size : self._size + samples.size] = samples
        self._size += samples.size

    def samples(self) -> Samples:
        return self._buffer[: self._size]

    def tensor(self) -> Tensor:
        """Return the tensor of the window that begins here."""
        self._analyse_inner()
        self._analyse_edges()
        return self._frames.tensor(self._rows())

    def move(self) -> None:
        """Move to the next window."""
        self._size -= self._hop
        # A memoryview moves overlapping memory in place; numpy would copy it aside first.
        view = self._buffer.data
        view[: self._size] = view[self._hop : self._hop + self._size]
        self._start += self._hop

    def _analyse_inner(self) -> None:
        step, half = self._config.hop_length, self._config.n_fft // 2
        first, end = self._start // step + self._first, self._start // step + self._last + 1
        self._frame = max(self._frame, first)
        while self._frame < end:
            row = self._frame % self._ring
            count = min(end - self._frame, self._ring - row)
            offset = self._frame * step - half - self._start
            self._frames.analyse(
                self._buffer, offset=offset, real=(-1, self._buffer.size), row=row, count=count
            )
            self._frame += count

    def _analyse_edges(self) -> None:
        """Analyse the two first and last frames as outer lanes of one block."""
        step, half, window = self._config.hop_length, self._config.n_fft // 2, self._config.window
        edges = np.zeros(reach(LANES), np.float32)
        edges[half : 2 * half + step] = self._buffer[: half + step]
        tail = self._buffer[(self._last + 1) * step - half : window]
        right = (LANES - 2) * step
        edges[right : right + tail.size] = tail
        real = (half, right + tail.size)
        self._frames.analyse(edges, offset=0, real=real, row=self._ring, count=LANES)

    def _rows(self) -> Integers:
        """Return the rows of the window's frames, in order."""
        first = (self._start // self._config.hop_length + self._first) % self._ring
        self._order[2:-2] = self._cycle[first : first + self._ring]
        return self._order
