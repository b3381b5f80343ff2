"""Samples of a stream: when they arrived, when they were due, and what became of them. Pure."""

from __future__ import annotations

import math
from collections import deque

from service.encodings import frame_bytes
from service.protocol import INDEX, MAX_SAMPLE, Start


class SampleAccount:
    """Counts samples by outcome: received = processed + dropped + tail, at every moment.

    Positions are the client's sample indices; windows are recorded in the order of their start.
    """

    def __init__(self) -> None:
        self.received = 0
        """Distinct samples received."""
        self.processed = 0
        """Of these, in at least one answered window."""
        self.silent = 0
        """Of these, in a part that was received without a sample above -80 dB."""
        self.windows = 0
        """Answered windows."""
        self._dropped = 0
        self._answered_to = 0
        self._lost: tuple[int, int] | None = None  # a later answer may still cover its end
        self._silences: deque[tuple[int, int]] = deque()

    @property
    def dropped(self) -> int:
        """Samples in a dropped window and in no answered one."""
        return self._dropped + (self._lost[1] - self._lost[0] if self._lost else 0)

    @property
    def lost_for_good(self) -> int:
        """Of the dropped samples, those that no later answer covers."""
        return self._dropped

    @property
    def tail(self) -> int:
        """Samples in no window at all."""
        return self.received - self.processed - self.dropped

    def receive(self, start: int, end: int, *, silent: bool) -> None:
        """Record that these samples were received, the first of them not received before."""
        self.received += end - start
        if silent:
            before = self._silences.pop() if self._silences else (start, start)
            if before[1] != start:
                self._silences.append(before)
                before = (start, start)
            self._silences.append((before[0], end))

    def answer(self, start: int, end: int) -> None:
        """Record that the window of these samples was answered."""
        if self._lost:
            self._dropped += min(self._lost[1], max(start, self._lost[0])) - self._lost[0]
            self._lost = None
        self.silent += self._silence(max(start, self._answered_to), end)
        self.processed += end - max(start, self._answered_to)
        self._answered_to = end
        self.windows += 1

    def _silence(self, start: int, end: int) -> int:
        """Return how many of these samples are silent; forget what lies before their end."""
        silent = 0
        while self._silences and self._silences[0][0] < end:
            first, last = self._silences.popleft()
            silent += max(0, min(last, end) - max(first, start))
            if last > end:
                self._silences.appendleft((end, last))
        return silent

    def drop(self, start: int, end: int) -> None:
        """Record that the window of these samples was dropped."""
        # No later window has what lies before this one.
        self._silence(start, start)
        start = max(start, self._answered_to)
        if self._lost and start <= self._lost[1]:
            self._lost = (self._lost[0], max(end, self._lost[1]))
        else:
            self._dropped = self.dropped
            self._lost = (start, max(end, start))


DRIFT = 0.0125
"""Share of the time by which the earliest arrival is forgotten: sound cards drift by up to 1 %."""
TOGETHER_S = 0.005
"""Messages that are read within so many seconds count as one."""
OVERHEAD = 64
"""Bytes that a message takes beside its audio."""
PAUSE_S = 0.5
"""A gap between two messages, longer by so much than the sound of the second, is a pause."""


class SampleClock:
    """Says when the sound of a message was due, by the stream's own clock.

    That clock is the sample index over the rate. Its smallest difference to the time of arrival, a
    burst ahead of time included, is that of a message without delay: whatever comes later than
    that is behind.
    """

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: Hertz, of the client."""
        self._rate = sample_rate
        self._offset = math.inf
        self._end = 0
        self._last = 0.0

    def arrive(self, end: int, now: float, *, may_pause: bool = True) -> None:
        """Record a message that ends before sample `end` and was read at `now`, in seconds.

        may_pause: whether a gap before it may be a pause of the client: it is none if nothing was
        read meanwhile.
        """
        elapsed = now - self._last
        pause_s = elapsed - (end - self._end) / self._rate
        self._offset += DRIFT * elapsed + (pause_s if may_pause and pause_s > PAUSE_S else 0.0)
        self._offset = min(self._offset, now - end / self._rate)
        self._end, self._last = end, now

    def due(self, end: int) -> float:
        """Return when a message that ends before sample `end` was due; its arrival is no earlier.

        What has been read since counts as well: a burst shows how late its first message was.
        """
        return self._offset + end / self._rate

    def sample_at(self, time: float) -> int:
        """Return the sample that was due at a time."""
        return math.floor((time - self._offset) * self._rate)


class Arrivals:
    """Messages of audio that wait for their turn, and when each was read."""

    def __init__(self, start: Start) -> None:
        self._numbered = start.numbered
        self._frame = frame_bytes(start.encoding, start.channels)
        self._clock = SampleClock(start.sample_rate)
        self._runs: list[list[bytes]] = []
        self._ends: deque[tuple[int, float]] = deque()
        self.end = self.wanted = start.first_sample
        """`end`: of the samples that were read. `wanted`: a turn is due once this one is there."""
        self._continued = self._unread = False
        self.size = 0
        """Bytes, with what each message takes beside its audio."""

    def add(self, message: bytes, now: float) -> bool:
        """Add a message that was read at `now`, in seconds; return whether a turn is due."""
        header = INDEX.size if self._numbered else 0
        count, odd = divmod(len(message) - header, self._frame)
        first = self.end
        if self._numbered and count >= 0:
            (first,) = INDEX.unpack_from(message)
        continues = first == self.end and not odd and count >= 0
        if continues and self._continued:
            self._runs[-1].append(message[header:])
        else:
            self._runs.append([message])
        self._continued = continues
        self.size += len(message) + OVERHEAD
        if (end := first + count) > self.end and end < MAX_SAMPLE:
            self._clock.arrive(end, now, may_pause=not self._unread)
            if self._ends and now - self._ends[-1][1] < TOGETHER_S:
                self._ends[-1] = (end, self._ends[-1][1])
            else:
                self._ends.append((end, now))
            self.end, self._unread = end, False
        return not continues or self.end >= self.wanted

    def unread(self) -> None:
        """Record that the socket was not read for a while: the next gap is no pause."""
        self._unread = True

    def take(self) -> list[bytes]:
        """Remove and return the messages; those that continue each other are joined."""
        runs, self._runs = self._runs, []
        self._continued, self.size = False, 0
        return [run[0] if len(run) == 1 else b"".join(run) for run in runs]

    def times(self, sample: int) -> tuple[float, float]:
        """Return when the message with the sample before `sample` was read, and when it was due.

        For samples in ascending order. In seconds; it was due no later than it was read.
        """
        while len(self._ends) > 1 and self._ends[0][0] < sample:
            self._ends.popleft()
        end, read = self._ends[0]
        return read, min(read, self._clock.due(end))

    def due(self, sample: int) -> float:
        """Return when the samples before `sample` were due, by the stream's clock."""
        return self._clock.due(sample)

    def sample_at(self, time: float) -> int:
        """Return the sample that was due at a time; 0 before there was any."""
        return max(0, self._clock.sample_at(time)) if self._ends else 0
