"""The state of a live stream for the terminal view. Pure: no clock, no screen."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from statistics import median

import numpy as np

from common.terminal import escape
from features.config import Samples
from service.client.events import End, Event, Lost, Reconnect, SourceWarn
from service.protocol import Dropped, LabelEvent, Ready, Warn, Window

HISTORY = 400
AGES = 200
SILENT_DB = -90.0
MESSAGE_WINDOWS = 12
"""Windows for which a message is shown."""
PEAK_FALL_DB = 1.5
"""Decibels the peak mark falls with each chunk."""


@dataclass(frozen=True)
class DisplayedWindow:
    """One window of the history."""

    scores: dict[str, float]
    """Empty for a window that was dropped."""
    labels: frozenset[str]


class StreamState:
    """The state behind the view of one stream."""

    def __init__(
        self, *, source: str, rate: int, url: str, model: str, thresholds: dict[str, float]
    ) -> None:
        self.source, self.rate, self.url, self.model = escape(source), rate, escape(url), model
        self.thresholds = {escape(label): threshold for label, threshold in thresholds.items()}
        """Threshold by label, in the model's order."""
        self.version = ""
        self.hop_s = self.window_s = 0.0
        self.state = "connecting"
        self.message = ""
        self._message_age = 0
        self.history: deque[DisplayedWindow] = deque(maxlen=HISTORY)
        self.windows = self.dropped = self.reconnects = 0
        self.captured = 0
        """Samples captured."""
        self.level_db = self.peak_db = SILENT_DB
        self.ages_ms: deque[float] = deque(maxlen=AGES)
        self.label_windows: Counter[str] = Counter()
        """Windows over the threshold, by label."""
        self.warnings: Counter[str] = Counter()
        """Warnings, by kind."""
        self.open_events: dict[str, float] = {}
        """Onset of the events that last, in seconds, by label."""
        self.events = 0
        """Events that have begun."""
        self._heard_s = 0.0

    @property
    def now(self) -> DisplayedWindow:
        """The last window, empty before the first."""
        return self.history[-1] if self.history else DisplayedWindow({}, frozenset())

    @property
    def captured_s(self) -> float:
        """Seconds of sound captured."""
        return self.captured / self.rate

    @property
    def age_p50_ms(self) -> float:
        """Median age of the last windows."""
        return median(self.ages_ms) if self.ages_ms else 0.0

    def add_samples(self, samples: Samples) -> None:
        """Update level and time with a chunk, shape (n,) or (n, channels)."""
        self.captured += len(samples)
        if samples.size:
            self.level_db = _decibels(float(np.sqrt(np.mean(np.square(samples)))))
            self.peak_db = max(_decibels(float(np.abs(samples).max())), self.peak_db - PEAK_FALL_DB)

    def record(self, event: Event) -> None:
        """Update the state with an event."""
        match event:
            case Ready():
                self.version, self.hop_s, self.window_s = (
                    escape(event.version),
                    event.hop,
                    event.window,
                )
                self.state, self.message = "live", ""
            case Window():
                self._add_window(event)
            case LabelEvent():
                self._add_event(event)
            case Dropped() | Lost():
                self._add_dropped(event)
            case Warn() | SourceWarn():
                self.warnings[escape(event.kind)] += 1
                self._show(event.detail)
            case Reconnect():
                self.state = "reconnecting"
                self._show(event.detail)
                self.reconnects += event.attempt == 1
            case End():
                self.state, self.message = "ended", ""

    def summary(self) -> str:
        """Return one line: windows, drops, labels with their share of the windows, warnings."""
        shares = [
            f"{name} {count / self.windows:.0%}"
            for name, count in self.label_windows.most_common(5)
        ]
        line = f"{self.windows} windows in {clock(self.captured_s)}, {self.dropped} dropped"
        if self.windows:
            line += f": {', '.join(shares) or 'no label over its threshold'}"
        if self.events:
            line += f"; {self.events} event{'s' * (self.events > 1)}"
        return f"{line}; warnings: {', '.join(self.warnings)}" if self.warnings else line

    def _show(self, message: str) -> None:
        self.message, self._message_age = escape(message), 0

    def _add_window(self, event: Window) -> None:
        self.windows += 1
        self.version = escape(event.version)
        self._message_age += 1
        if self._message_age > MESSAGE_WINDOWS:
            self.message = ""
        labels = frozenset(map(escape, event.labels))
        scores = {escape(label): score for label, score in event.scores.items()}
        self.history.append(DisplayedWindow(scores, labels))
        self.label_windows.update(labels)
        self.ages_ms.append(event.age_ms.total)
        self._heard_s = event.end

    def _add_event(self, event: LabelEvent) -> None:
        label = escape(event.label)
        if event.state == "onset":
            self.open_events[label] = event.start
            self.events += 1
        else:
            self.open_events.pop(label, None)

    def lasting(self) -> str:
        """Return the events that last with their seconds, the longest first."""
        oldest = sorted(self.open_events.items(), key=lambda each: each[1])
        return ", ".join(f"{label} {clock(self._heard_s - start)}" for label, start in oldest)

    def _add_dropped(self, event: Dropped | Lost) -> None:
        if event.reason == "device":
            self._show("the sound card lost sound")
            return
        seconds = (event.to_sample - event.from_sample) / self.rate
        count = round(
            (seconds - (self.window_s - self.hop_s if isinstance(event, Dropped) else 0))
            / self.hop_s
        )
        self.dropped += max(1, count)
        self.history.extend([DisplayedWindow({}, frozenset())] * min(HISTORY, max(1, count)))
        self._show(f"dropped {seconds:.1f} s ({event.reason})")


def clock(seconds: float) -> str:
    """Return minutes and seconds, with hours if there are any: 1:05, 2:00:00."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _decibels(amplitude: float) -> float:
    return max(SILENT_DB, 20 * float(np.log10(amplitude + 1e-9)))
