"""Features of a live stream: each frame is computed once, whatever the overlap of the windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.errors import Unprocessable
from features.config import DEFAULT, AudioConfig, Kind, Samples, Tensor
from features.extract import Frames, checked, compute, reach
from features.layout import LANES, QUIET

SECOND = 5
"""The lane of a block that reads nothing of the first two frames' samples."""


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
        windows, at = [], 0
        while at < samples.size:
            piece = samples[at : at + self.due - self.position]
            # Samples before the first window are in none.
            core.append(piece[max(0, self._next - self.position) :])
            at += piece.size
            self.position += piece.size
            if self.position == self.due:
                wanted = should_compute is None or should_compute(self._next)
                windows.append(Window(self._next, self.due, core.tensor() if wanted else None))
                core.move()
                self._covered = self.due
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
        # padding in it. Two more begin before it, two end behind it.
        self._first, self._last = half // step, (config.window - half) // step
        self._ring = _rows_of_ring(self._last - self._first + 1 + 2, hop // step)
        self._frame = start // step + self._first
        self._frames = Frames(config, rows=self._ring + 2 + SECOND + 2, kind=kind)
        # Behind a window it stays zero.
        self._buffer = np.zeros(config.window + reach(LANES), np.float32)
        self._size = 0
        self._left = -1
        """Start of the window whose two first frames are the `SECOND` ones in their block."""
        self._order = np.zeros(self._last + 3, np.int64)

    def append(self, samples: Samples) -> None:
        self._buffer[self._size : self._size + samples.size] = samples
        self._size += samples.size

    def samples(self) -> Samples:
        return self._buffer[: self._size]

    def tensor(self) -> Tensor:
        """Return the tensor of the window that begins and ends with the samples here."""
        self._analyse_left()
        right = self._analyse_inner()
        inner = self._order[2:-2]
        first = self._row(self._start // self._config.hop_length + self._first)
        np.remainder(np.arange(first, first + inner.size), self._ring, out=inner)
        self._order[-2:] = right, right + 1
        return self._frames.tensor(self._order)

    def move(self) -> None:
        """Move to the next window."""
        self._size -= self._hop
        # A memoryview moves overlapping memory in place; numpy would copy it aside first.
        view = self._buffer.data
        view[: self._size] = view[self._hop : self._hop + self._size]
        self._start += self._hop

    def _row(self, frame: int) -> int:
        """Return the row of an inner frame; the first one that a window adds is at a whole hop."""
        return (frame - self._last - 1) % self._ring

    def _analyse_inner(self) -> int:
        """Analyse the frames that no window had, and the last two; return the row of these.

        They follow upon the inner ones, in zeros. Their rows are of frames of the next window.
        """
        step, half = self._config.hop_length, self._config.n_fft // 2
        first, end = self._start // step + self._first, self._start // step + self._last + 1
        self._frame = max(self._frame, first)
        row = count = 0
        while self._frame < end:
            row = self._row(self._frame)
            count = min(end - self._frame, self._ring - row)
            self._frames.analyse(
                self._buffer,
                offset=self._frame * step - half - self._start,
                real=(-1, self._config.window),
                row=row,
                count=count + (2 if self._frame + count == end else 0),
            )
            self._frame += count
        return row + count

    def _analyse_left(self) -> None:
        """Analyse the two first frames, in one block with those of the next window."""
        step, half = self._config.hop_length, self._config.n_fft // 2
        size, first = half + step, self._ring + 2
        if self._left == self._start:
            self._order[:2] = first + SECOND, first + SECOND + 1
            return
        edges = np.zeros(reach(LANES), np.float32)
        edges[half : half + size] = self._buffer[:size]
        begin, count = SECOND * step + half, 2
        if self._hop + size <= self._config.window:
            edges[begin : begin + size] = self._buffer[self._hop : self._hop + size]
            self._left = self._start + self._hop
            count = SECOND + 2
        real = (half, edges.size)
        self._frames.analyse(edges, offset=0, real=real, row=first, count=count)
        # The step from the padding between the two to a sample is none.
        if edges[begin] < QUIET:
            self._frames.uncount_crossing(first + SECOND, 2)
        self._order[:2] = first, first + 1


def _rows_of_ring(least: int, hop: int) -> int:
    """Return `least` or up to eight more, if they are a multiple of the hop: no run is split then.

    hop: frames.
    """
    multiple = -(-least // hop) * hop
    return multiple if multiple <= least + LANES else least
