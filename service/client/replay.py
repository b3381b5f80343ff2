"""What a client keeps to resume a stream after a lost connection. Pure: no I/O, no clock."""

from __future__ import annotations

import math

PRE_ROLL_S = 0.1
"""Sound replayed before a window when the server resamples: its filter rings for about 10 ms."""
ROUNDING = 2
"""Samples by which the ends of a window may be off at the client's rate."""


class ReplayBuffer:
    """Captured sound that may be sent again, by sample index; at most `capacity` samples."""

    def __init__(self, *, frame_bytes: int, capacity: int) -> None:
        self.frame_bytes = frame_bytes
        self.capacity = capacity
        self.start = 0
        self._bytes = bytearray()

    @property
    def end(self) -> int:
        """Index of the next sample to be captured."""
        return self.start + len(self._bytes) // self.frame_bytes

    @property
    def room(self) -> int:
        """Samples that fit before the oldest are dropped."""
        return self.capacity - (self.end - self.start)

    def append(self, data: bytes) -> None:
        """Append whole frames; past the capacity the oldest are dropped.

        Raises ValueError if `data` ends within a frame.
        """
        if len(data) % self.frame_bytes:
            message = f"{len(data)} bytes are not whole frames of {self.frame_bytes} bytes"
            raise ValueError(message)
        self._bytes += data
        self.forget(self.end - self.capacity)

    def forget(self, before: int) -> None:
        """Drop the samples before index `before`."""
        count = min(before, self.end) - self.start
        if count > 0:
            del self._bytes[: count * self.frame_bytes]
            self.start += count

    def read(self, position: int, *, limit: int) -> bytes:
        """Return the bytes of at most `limit` samples from index `position` (>= `start`)."""
        offset = (position - self.start) * self.frame_bytes
        return bytes(self._bytes[offset : offset + limit * self.frame_bytes])


class AnsweredWindows:
    """Which windows have had their one result, and where a replay must begin.

    Windows lie on a grid that begins at sample 0. `hop` and `window` count samples of the client's
    rate, in which they need not be whole.
    """

    def __init__(self, *, hop: float, window: float, sample_rate: int, model_rate: int) -> None:
        self.hop = hop
        self.window = window
        self.next = 0
        self._ahead: set[int] = set()
        # Only sample indices that fall on whole samples of the model's rate give the resampler the
        # same phase again.
        self._step = sample_rate // math.gcd(sample_rate, model_rate)
        self._pre_roll = 0 if sample_rate == model_rate else math.ceil(PRE_ROLL_S * sample_rate)

    def start(self, index: int) -> int:
        """Return the first sample of window number `index`."""
        return round(index * self.hop)

    def answer(self, start_sample: int) -> bool:
        """Record a result of the window at `start_sample`; return False if it had one already."""
        index = round(start_sample / self.hop)
        if index < self.next or index in self._ahead:
            return False
        self._ahead.add(index)
        self._advance()
        return True

    def drop(self, from_sample: int, to_sample: int) -> int:
        """Record all windows within a range as dropped; return how many had no result yet."""
        first = math.ceil((from_sample - ROUNDING) / self.hop)
        last = math.floor((to_sample + ROUNDING - self.window) / self.hop)
        return sum(
            self.answer(self.start(index)) for index in range(max(first, self.next), last + 1)
        )

    def needed(self) -> int:
        """Return the first sample still needed: a replay from it gives the same windows."""
        return max(0, (self.start(self.next) - self._pre_roll) // self._step * self._step)

    def resume(self, available: int) -> tuple[int, int]:
        """Drop the windows that need sound before sample `available`.

        Returns the sample to replay from, and how many windows without a result were dropped.
        """
        if self.needed() >= available:
            return self.needed(), 0
        first = -(-available // self._step) * self._step
        usable = math.ceil((first + self._pre_roll) / self.hop)
        lost = sum(index not in self._ahead for index in range(self.next, usable))
        self.next = usable
        self._ahead = {index for index in self._ahead if index >= usable}
        self._advance()
        return self.needed(), lost

    def _advance(self) -> None:
        while self.next in self._ahead:
            self._ahead.remove(self.next)
            self.next += 1
