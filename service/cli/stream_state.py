"""What a person wants to see of a live stream: kept as events come in, without a clock or a screen."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from statistics import median

import numpy as np

from features.config import Samples
from service.client.events import End, Event, Lost, Reconnect
from service.protocol import Dropped, Ready, Warn, Window

HISTORY = 400
AGES = 200
SILENT_DB = -90.0
MESSAGE_WINDOWS = 12
"""How many windows a message stays."""
PEAK_FALL_DB = 1.5
"""How far the peak mark falls with each chunk of sound."""


@dataclass(frozen=True)
class Heard:
    """One window of the history."""

    scores: dict[str, float]
    """Empty for a window that was dropped."""
    labels: frozenset[str]


class StreamState:
    """The state behind the view of one stream."""

    def __init__(
        self, *, source: str, rate: int, url: str, model: str, thresholds: dict[str, float]
    ) -> None:
        self.source, self.rate, self.url, self.model = source, rate, url, model
        self.thresholds = thresholds
        """Threshold by label, in the model's order."""
        self.version = ""
        self.hop_s = self.window_s = 0.0
        self.state = "connecting"
        self.message = ""
        self._message_age = 0
        self.history: deque[Heard] = deque(maxlen=HISTORY)
        self.windows = self.dropped = self.reconnects = 0
        self.heard = 0
        """Samples taken in."""
        self.level_db = self.peak_db = SILENT_DB
        self.ages_ms: deque[float] = deque(maxlen=AGES)
        self.played: Counter[str] = Counter()
        """Windows over the threshold, by label."""

    @property
    def now(self) -> Heard:
        """The last window, empty before the first."""
        return self.history[-1] if self.history else Heard({}, frozenset())

    @property
    def heard_s(self) -> float:
        """Seconds of sound taken in."""
        return self.heard / self.rate

    @property
    def age_p50_ms(self) -> float:
        """Median age of the last windows."""
        return median(self.ages_ms) if self.ages_ms else 0.0

    def hear(self, samples: Samples) -> None:
        """Take in a chunk, shape (n,) or (n, channels), for the level and the time."""
        self.heard += len(samples)
        if samples.size:
            self.level_db = _decibels(float(np.sqrt(np.mean(np.square(samples)))))
            self.peak_db = max(_decibels(float(np.abs(samples).max())), self.peak_db - PEAK_FALL_DB)

    def note(self, event: Event) -> None:
        """Take in an event of the stream."""
        match event:
            case Ready():
                self.version, self.hop_s, self.window_s = event.version, event.hop, event.window
                self.state, self.message = "live", ""
            case Window():
                self._answer(event)
            case Dropped() | Lost():
                self._drop(event)
            case Warn():
                self._say(event.detail)
            case Reconnect():
                self.state = "reconnecting"
                self._say(event.detail)
                self.reconnects += event.attempt == 1
            case End():
                self.state, self.message = "ended", ""

    def summary(self) -> str:
        """Return one line: windows, drops, and the instruments with their share of the time."""
        shares = [
            f"{name} {count / self.windows:.0%}" for name, count in self.played.most_common(5)
        ]
        line = f"{self.windows} windows in {clock(self.heard_s)}, {self.dropped} dropped"
        return (
            f"{line}: {', '.join(shares) or 'no instrument over its threshold'}"
            if self.windows
            else line
        )

    def _say(self, message: str) -> None:
        self.message, self._message_age = message, 0

    def _answer(self, event: Window) -> None:
        self.windows += 1
        self.version = event.version
        self._message_age += 1
        if self._message_age > MESSAGE_WINDOWS:
            self.message = ""
        self.history.append(Heard(event.scores, frozenset(event.labels)))
        self.played.update(event.labels)
        self.ages_ms.append(event.age_ms.total)

    def _drop(self, event: Dropped | Lost) -> None:
        if event.reason == "device":
            self._say("the sound card lost some sound")
            return
        seconds = (event.to_sample - event.from_sample) / self.rate
        count = round(
            (seconds - (self.window_s - self.hop_s if isinstance(event, Dropped) else 0))
            / self.hop_s
        )
        self.dropped += max(1, count)
        self.history.extend([Heard({}, frozenset())] * min(HISTORY, max(1, count)))
        self._say(f"dropped {seconds:.1f} s ({event.reason})")


def clock(seconds: float) -> str:
    """Return minutes and seconds, hours when there are any: 1:05, 2:00:00."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _decibels(amplitude: float) -> float:
    return max(SILENT_DB, 20 * float(np.log10(amplitude + 1e-9)))
