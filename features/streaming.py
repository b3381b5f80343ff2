"""Features of a live stream: each frame is computed once, whatever the overlap of the windows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.errors import Unprocessable
from features.banks import Integers
from features.config import DEFAULT, AudioConfig, Kind, Samples, Tensor
from features.extract import Analysis, Rows, checked, reach
from features.kernels.layout import LANES, QUIET

SECOND = 5
"""The lane of a block that reads nothing of the first two frames' samples."""
_local = threading.local()


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
    the frames that the next window shares with the last, and the samples that are in no frame yet.
    Not thread-safe.

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
        self._core: _Core | _Whole | None = (
            None  # made by the first samples: an idle stream costs nothing
        )

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
        if self._core is None:
            self._core = (
                _Whole(self.config, hop=self.hop, start=self._next)
                if self.kind == "samples"
                else _Core(self.config, hop=self.hop, kind=self.kind, start=self._next)
            )
        core = self._core
        windows, at = [], 0
        while at < samples.size:
            piece = samples[at : at + self.due - self.position]
            # Samples before the first window are in none.
            core.samples.append(piece[max(0, self._next - self.position) :])
            at += piece.size
            self.position += piece.size
            if self.position == self.due:
                wanted = should_compute is None or should_compute(self._next)
                windows.append(Window(self._next, self.due, core.tensor() if wanted else None))
                core.move()
                self._covered = self.due
                self._next += self.hop
        core.forget()
        return windows

    def finish(self) -> list[Window]:
        """Return the zero-padded last window, if any; its `end` is the end of the sound.

        Nothing can be fed afterwards.
        """
        if self._core is None or self.position <= max(self._covered, self._next):
            return []
        self._core.samples.append(np.zeros(self.due - self.position, np.float32))
        self._covered = self.position
        return [Window(self._next, self.position, self._core.tensor())]


class _Core:
    """The frames that the next window shares with the last, and the samples of its others."""

    def __init__(self, config: AudioConfig, *, hop: int, kind: Kind, start: int) -> None:
        self._config, self._hop, self._start = config, hop, start
        step, half = config.hop_length, config.n_fft // 2
        # A frame between these two, counted from its window's start, lies inside the window: no
        # padding in it. Two more begin before it, two end behind it.
        self._first, self._last = half // step, (config.window - half) // step
        self._edge = half + step
        """Samples of a window that its two first frames see."""
        self._analysis = Analysis(config, kind=kind)
        self._inner = _FrameRows(self._analysis, hop // step)
        self._frame = start // step + self._first
        """The next inner frame to be analysed, counted from the stream's sample 0."""
        self._left: tuple[int, Rows] | None = None
        """The two first frames of the window that begins at a sample."""
        self._begins: dict[int, Samples] = {}
        self._begun = start
        """Start of the first window whose begin is not in `_begins`."""
        self.samples = SampleStore(start)

    def tensor(self) -> Tensor:
        """Return the tensor of the window that begins here, all samples of which are there."""
        edges = _local_rows(self._analysis)
        first = self._start // self._config.hop_length + self._first
        rows = np.empty(self._last - self._first + 1 + 4, np.int64)
        rows[:2] = self._analyse_left(edges)
        rows[2:-2] = self._inner.addresses(first, rows.size - 4)
        rows[-2:] = edges.addresses[2:4]
        self._analyse_inner(rows[2 + self._frame - first :])
        return self._analysis.tensor(rows)

    def move(self) -> None:
        """Move to the next window."""
        self._begins.pop(self._start, None)
        self._start += self._hop
        self._begun = max(self._begun, self._start)
        first = self._start // self._config.hop_length + self._first
        self._frame = max(self._frame, first)
        self._inner.forget(first)

    def forget(self) -> None:
        """Free the samples that no window needs any more; the begins of windows are kept aside."""
        step, half = self._config.hop_length, self._config.n_fft // 2
        before = min(self._frame * step - half, self.samples.end)
        if self._hop < self._edge:  # they overlap
            before = min(before, self._start)
        while self._begun < before and self._begun + self._edge <= self.samples.end:
            self._begins[self._begun] = self._read_begin(self._begun)
            self._begun += self._hop
        self.samples.forget(min(before, self._begun))

    def _read_begin(self, start: int) -> Samples:
        """Return the samples of a window that its two first frames see."""
        if start not in self._begins:
            begin = np.empty(self._edge, np.float32)
            self.samples.read(start, begin)
            return begin
        return self._begins[start]

    def _analyse_inner(self, rows: Integers) -> None:
        """Analyse the frames that no window had, and the last two, which end in zeros."""
        begin = self._frame * self._config.hop_length - self._config.n_fft // 2
        end = self._start + self._config.window
        signal = _local_signal(reach(rows.size))
        self.samples.read(begin, signal[: end - begin])
        signal[end - begin :] = 0
        self._analysis.analyse(signal, offset=0, real=(-1, end - begin), rows=rows)
        self._frame += rows.size - 2

    def _analyse_left(self, edges: Rows) -> Integers:
        """Return the rows of the two first frames, analysed in one block with those of the next."""
        if self._left and self._left[0] == self._start:
            return self._left[1].addresses
        step, half, size = self._config.hop_length, self._config.n_fft // 2, self._edge
        signal, rows = np.zeros(reach(LANES), np.float32), edges.addresses[:2]
        signal[half : half + size] = self._read_begin(self._start)
        begin, following = SECOND * step + half, self._start + self._hop
        self._left = None
        if following + size <= self.samples.end:
            signal[begin : begin + size] = self._read_begin(following)
            self._left = following, self._analysis.make_rows(2)
            rows = np.concatenate((rows, edges.addresses[4:], self._left[1].addresses))
        self._analysis.analyse(signal, offset=0, real=(half, signal.size), rows=rows)
        # The step from the padding between the two to a sample is none.
        if self._left and signal[begin] < QUIET:
            self._analysis.uncount_crossing(self._left[1].values)
        return edges.addresses[:2]


class _Whole:
    """The samples of the windows that are not complete."""

    def __init__(self, config: AudioConfig, *, hop: int, start: int) -> None:
        self._window, self._hop, self._start = config.window, hop, start
        self.samples = SampleStore(start)

    def tensor(self) -> Tensor:
        """Return the samples of the window that begins here, all of which are there."""
        window = np.empty(self._window, np.float32)
        self.samples.read(self._start, window)
        return window

    def move(self) -> None:
        """Move to the next window."""
        self._start += self._hop

    def forget(self) -> None:
        """Free the samples that no window needs any more."""
        self.samples.forget(min(self._start, self.samples.end))


class _FrameRows:
    """Rows of consecutive frames, made and forgotten in groups that windows leave together."""

    def __init__(self, analysis: Analysis, hop: int) -> None:
        """hop: frames."""
        self._analysis = analysis
        self._size = hop * -(-LANES // hop)
        self._groups: deque[Rows] = deque()
        self._number = 0
        """Of the first group; its first frame is a multiple of the size."""

    def addresses(self, first: int, count: int) -> Integers:
        """Return the addresses of the rows of `count` frames from `first` on."""
        if not self._groups:
            self._number = first // self._size
        while (self._number + len(self._groups)) * self._size < first + count:
            self._groups.append(self._analysis.make_rows(self._size))
        every = np.concatenate([group.addresses for group in self._groups])
        skipped = first - self._number * self._size
        return every[skipped : skipped + count]

    def forget(self, before: int) -> None:
        """Free the rows of all frames before one."""
        while self._groups and (self._number + 1) * self._size <= before:
            self._groups.popleft()
            self._number += 1


class SampleStore:
    """Holds what was appended, from a sample on that `forget` names."""

    def __init__(self, first: int) -> None:
        self.begin = self.end = first
        """Indices of the first sample held, and of the next to be appended."""
        self._pieces: deque[Samples] = deque()
        self._fresh = 0

    def append(self, samples: Samples) -> None:
        """Append samples, float32 (n,), which must not change before the next `forget`."""
        if samples.size:
            self._pieces.append(samples)
            self._fresh += 1
            self.end += samples.size

    def read(self, begin: int, out: Samples) -> None:
        """Fill `out` with the samples from `begin` on. Raises IndexError if one is not held."""
        end, first = begin + out.size, self.begin
        if not self.begin <= begin <= end <= self.end:
            raise IndexError(f"samples {begin} to {end}: only {self.begin} to {self.end} are held")
        for piece in self._pieces:
            low, high = max(begin, first), min(end, first + piece.size)
            if low < high:
                out[low - begin : high - begin] = piece[low - first : high - first]
            first += piece.size

    def forget(self, before: int) -> None:
        """Free all samples before one, and own the others."""
        pieces = self._pieces
        while pieces and self.begin + pieces[0].size <= before:
            self.begin += pieces.popleft().size
        if pieces and self.begin < before:
            # Not a view, so that the rest is freed.
            pieces[0] = pieces[0][before - self.begin :].copy()
            self.begin = before
            self._fresh = min(self._fresh, len(pieces) - 1)
        for at in range(max(0, len(pieces) - self._fresh), len(pieces)):
            pieces[at] = pieces[at].copy()
        self._fresh = 0


def _local_rows(analysis: Analysis) -> Rows:
    """Return rows of this thread for the frames at a window's ends."""
    rows: Rows | None = getattr(_local, "rows", None)
    if rows is None or rows.values.shape[1] != analysis.width:
        rows = _local.rows = analysis.make_rows(2 + SECOND)
    return rows


def _local_signal(size: int) -> Samples:
    """Return memory of this thread for so many samples."""
    if not hasattr(_local, "signal") or _local.signal.size < size:
        _local.signal = np.empty(size, np.float32)
    signal: Samples = _local.signal[:size]
    return signal
