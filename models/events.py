"""Scored windows to events: when each label begins and ends, on the clock of the samples.

Pure: no I/O, no clock. Positions are samples, counted from sample 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from common.errors import Unprocessable
from models.manifest import EVENT_SETTINGS, Label

State: TypeAlias = Literal["onset", "offset"]
Settings: TypeAlias = Mapping[str, Mapping[str, float]]
"""By label, or by `*` for every label: `threshold`, or some of EVENT_SETTINGS."""

OFF_SHARE = 0.8
"""Of the threshold: the score below which an event may end, if nothing else is said."""
DEFAULTS = {"gap": 1.0, "min_length": 0.0, "rise": 0.0}
"""Seconds below that score until an event ends, at their beginning; seconds of the shortest; by how
much of half a window the steepest rise moves an onset."""
RISE_SHARE = 0.25
"""Of a window: over how long a rise or fall of the score is measured."""
MAX_NOT_HEARD_S = 10.0
"""Seconds in a row without an answer after which an event ends where they begin."""
ALL = "*"
HIGHEST = {"threshold": 1.0, **EVENT_SETTINGS}
"""Of each setting; the lowest is 0."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A label from onset to offset; or, while it lasts, its onset."""

    number: int
    """Counts the events of one detector from 1."""
    label: str
    state: State
    start: int
    """Sample."""
    end: int | None
    """One past the last sample; None at the onset."""
    peak: float
    """Highest score of its windows so far."""
    mean: float
    """Mean score of its windows so far."""
    not_heard: int
    """Samples of it without an answer: dropped, or not connected."""


class _Rule(NamedTuple):
    """The settings of a label, in samples."""

    threshold: float
    off: float
    gap: int
    min_length: int
    rise: float


@dataclass(slots=True)
class _Open:
    """An event that has begun."""

    start: int
    end: int
    """Of the last window at or over `off`."""
    last: float = 0.0
    """The score of that window; 0 where a fall after it cannot be measured."""
    peak: float = 0.0
    total: float = 0.0
    count: int = 0
    not_heard: int = 0
    since: list[float] = field(default_factory=list)
    """Scores of the windows after `end`."""
    not_heard_since: int = 0
    number: int = 0
    """0: not told yet, for it is shorter than may be told."""


def check_settings(values: Any, labels: Iterable[str]) -> Settings:
    """Return a document as settings, if it is like `{"flute": {"gap": 0.5}, "*": {...}}`.

    Raises Unprocessable naming the label, setting or value that is not one.
    """
    known = {ALL, *labels}
    if not (isinstance(values, dict) and all(isinstance(each, dict) for each in values.values())):
        raise Unprocessable('event_settings must be like {"flute": {"gap": 0.5}}, or "*" for all')
    for label, settings in values.items():
        if label not in known:
            raise Unprocessable(f"event_settings: unknown label {label!r:.80}")
        for name, value in settings.items():
            where = f"event_settings.{label:.80}.{name:.80}"
            if name not in HIGHEST:
                raise Unprocessable(f"{where} is unknown; known: {', '.join(HIGHEST)}")
            # JSON's true is an int to Python; NaN is within no limits.
            if type(value) not in (int, float) or not 0 <= value <= HIGHEST[name]:
                limits = f"a number from 0 to {HIGHEST[name]:g}"
                raise Unprocessable(f"{where}={value!r:.40} must be {limits}")
    return values


def complete(label: Label, settings: Settings) -> dict[str, float]:
    """Return all settings of a label: as asked for it, for all labels, or by its artefact."""
    asked = {**settings.get(ALL, {}), **settings.get(label.name, {})}
    threshold = asked.get("threshold", label.threshold)
    # That of the artefact belongs to its own threshold.
    own = {} if "threshold" in asked else label.events
    off = asked.get("off", own.get("off", OFF_SHARE * threshold))
    return {
        **DEFAULTS,
        **label.events,
        **asked,
        "threshold": threshold,
        "off": min(off, threshold),
    }


class EventDetector:
    """Turns the windows of one stream or clip, in order, into events.

    A window counts for the hop around its middle, so with overlapping windows an event begins and
    ends within half a hop of where the score crosses the threshold for a window whose middle is
    there. The first window after a beginning also counts for what is before its middle, and the
    last one for what is behind it.

    A label that is heard in a small share of a window crosses its threshold early and steeply. With
    `rise` r its onset is told r * d**2 of half a window later, where d is by how much the score is
    above that of a quarter of a window before; the offset earlier, by what the score falls.
    """

    def __init__(
        self,
        labels: Iterable[Label],
        settings: Settings,
        *,
        hop: int,
        sample_rate: int,
    ) -> None:
        """hop: samples between windows. sample_rate: Hertz of all positions."""
        self._settings, self._hop, self._rate = settings, hop, sample_rate
        self._max_not_heard = round(MAX_NOT_HEARD_S * sample_rate)
        self._open: dict[str, _Open] = {}
        self._numbers = 0
        self._end = self._heard = self._window = 0
        self._begun = False
        self._recent: dict[str, deque[float]] = {}
        self.use(labels)

    def use(self, labels: Iterable[Label]) -> None:
        """Take thresholds and settings from the labels of another version from now on."""
        self._rules = {label.name: self._rule(label) for label in labels}

    def _rule(self, label: Label) -> _Rule:
        found = complete(label, self._settings)
        gap, shortest = (round(found[name] * self._rate) for name in ("gap", "min_length"))
        return _Rule(found["threshold"], found["off"], gap, shortest, found["rise"])

    def feed(self, start: int, end: int, scores: Mapping[str, float]) -> list[Event]:
        """Return what one window begins and ends, in the order of time.

        start, end: samples. scores: by label; a label without one has not changed.
        """
        events = self._hear_from(start, end)
        heard = self._heard
        for label, score in scores.items():
            rule, event = self._rules.get(label), self._open.get(label)
            if rule is None:
                continue
            if event is None:
                if score < rule.threshold:
                    continue
                start = self._from + self._shift(rule, score, self._before(label))
                event = self._open[label] = _Open(start=start, end=heard)
            events += self._add(label, rule, event, score)
        self._remember(scores)
        return sorted(events, key=lambda each: each.start if each.end is None else each.end)

    def _steps(self) -> int:
        """Return how many windows before this one a rise is measured from."""
        return max(1, round(RISE_SHARE * self._window / self._hop))

    def _remember(self, scores: Mapping[str, float]) -> None:
        for label, score in scores.items():
            if label in self._rules and self._rules[label].rise:
                self._recent.setdefault(label, deque(maxlen=self._steps())).append(score)

    def _before(self, label: str) -> float | None:
        """Return the score from which a rise is measured, if there is one."""
        recent = self._recent.get(label)
        return recent[0] if recent else None

    def _shift(self, rule: _Rule, high: float, low: float | None) -> int:
        """Return by how many samples a rise or fall between two scores moves onset or offset."""
        if low is None:
            return 0
        return round(rule.rise * max(0.0, high - low) ** 2 * self._window / 2)

    def _hear_from(self, start: int, end: int) -> list[Event]:
        """Set which samples the window counts for; count what was not heard before it."""
        begin = (start + end - self._hop) // 2
        events: list[Event] = []
        if not self._begun:
            begin = start
        elif start >= self._end:
            self._reach(self._end)
            events = self._not_heard(start - self._end)
            begin = start
        elif begin > self._heard:
            events = self._not_heard(begin - self._heard)
        if begin > self._heard or begin == start:
            # Rise and fall are measured between windows that overlap, with none missing.
            self._recent.clear()
            for event in self._open.values():
                event.last = 0.0
        self._begun, self._window = True, end - start
        self._from, self._end = begin, end
        self._heard = min(end, (start + end + self._hop) // 2)
        return events

    def _reach(self, end: int) -> None:
        """Let the last window count for all that is behind its middle."""
        for event in self._open.values():
            if event.end == self._heard:
                event.end = end
        self._heard = end

    def _not_heard(self, samples: int) -> list[Event]:
        if samples > self._max_not_heard:
            return self._close_all()
        for event in self._open.values():
            event.not_heard_since += samples
        return []

    def skip(self, to: int) -> list[Event]:
        """Return the events that end because nothing was answered up to a sample for too long."""
        if self._begun and to - self._end > self._max_not_heard:
            return self.finish()
        return []

    def finish(self) -> list[Event]:
        """Return the events that last until the end; a window that follows begins anew."""
        self._reach(self._end)
        self._begun = False
        return self._close_all()

    def _close_all(self) -> list[Event]:
        events = [
            told
            for label, event in list(self._open.items())
            for told in self._close(label, self._rules[label], event)
        ]
        return sorted(events, key=lambda each: each.start if each.end is None else each.end)

    def _add(self, label: str, rule: _Rule, event: _Open, score: float) -> list[Event]:
        event.since.append(score)
        if score >= rule.off:
            event.peak = max(event.peak, *event.since)
            event.total += sum(event.since)
            event.count += len(event.since)
            event.not_heard += event.not_heard_since
            event.end, event.since, event.not_heard_since = self._heard, [], 0
            event.last = score
            return self._tell_onset(label, rule, event)
        if self._heard - event.end >= rule.gap:
            return self._close(label, rule, event)
        return []

    def _tell_onset(self, label: str, rule: _Rule, event: _Open) -> list[Event]:
        if event.number or max(0, event.end - event.start) < rule.min_length:
            return []
        self._numbers += 1
        event.number = self._numbers
        return [_told(label, event, "onset")]

    def _close(self, label: str, rule: _Rule, event: _Open) -> list[Event]:
        since = event.since[: self._steps()]
        low = since[-1] if since else None
        event.end = max(event.start, event.end - self._shift(rule, event.last, low))
        onset = self._tell_onset(label, rule, event)
        del self._open[label]
        return [*onset, _told(label, event, "offset")] if event.number else []


def _told(label: str, event: _Open, state: State) -> Event:
    return Event(
        number=event.number,
        label=label,
        state=state,
        start=event.start,
        end=event.end if state == "offset" else None,
        peak=event.peak,
        mean=round(event.total / event.count, 6),
        not_heard=event.not_heard,
    )
