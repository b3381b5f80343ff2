"""What became of every window of a stream, by the client's own count. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from service.client.events import Event, Lost, Reconnect
from service.protocol import Dropped, Ready, Window


@dataclass
class Account:
    """The events of one stream."""

    hop: int = 0
    """Samples."""
    length: int = 0
    """Samples of a window."""
    answered: Counter[int] = field(default_factory=Counter)
    """By the first sample of a window."""
    dropped: list[tuple[int, int]] = field(default_factory=list)
    """First sample, one past the last."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Windows dropped, by the reason."""
    reconnects: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    longest_wait_s: float = 0.0
    """Between two results, since the last `begin`."""
    _last_at: float | None = None

    def add(self, event: Event, *, now: float, rate: int) -> None:
        """Count an event that came at `now`, in seconds."""
        if isinstance(event, Ready):
            self.hop, self.length = round(event.hop * rate), round(event.window * rate)
        elif isinstance(event, Reconnect):
            self.reconnects += 1
        elif isinstance(event, Window):
            self.answered[event.start_sample] += 1
            self.versions[event.version] += 1
            self._heard(now)
        elif isinstance(event, Dropped | Lost):
            # What the client has lost, it has lost for every window that begins in it.
            past = event.to_sample + (self.length - 1 if isinstance(event, Lost) else 0)
            self.dropped.append((event.from_sample, past))
            self.reasons[event.reason] += len(self._in(event.from_sample, past))
            self._heard(now)

    def _heard(self, now: float) -> None:
        if self._last_at is not None:
            self.longest_wait_s = max(self.longest_wait_s, now - self._last_at)
        self._last_at = now

    def _in(self, begin: int, end: int) -> range:
        """Return the first samples of the windows that lie within."""
        first = -(-begin // self.hop) * self.hop
        return range(first, max(first, end - self.length + 1), self.hop)

    def expected(self, samples: int) -> range:
        """Return the first samples of all windows of so many samples."""
        return self._in(0, samples)

    def unaccounted(self, samples: int) -> int:
        """Return how many windows were neither answered nor told to be dropped."""
        told = {start for begin, end in self.dropped for start in self._in(begin, end)}
        return sum(
            start not in self.answered and start not in told for start in self.expected(samples)
        )

    @property
    def answered_twice(self) -> int:
        """Windows that were answered more than once."""
        return sum(count > 1 for count in self.answered.values())
