"""Events of recordings whose onsets are known: found as in serving, counted, and tuned. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from models.events import DEFAULTS, OFF_SHARE, EventDetector, complete
from training.evaluation.event_scores import COLLARS, Counts, Span, count, onset_errors, total
from training.evaluation.metrics import f1_by_label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from models.manifest import Label
    from training.evaluation.metrics import Mask, Metrics, Scores

Events: TypeAlias = "dict[str, list[Span]]"
"""By label; a label without any may be absent."""

OFF_SHARES = (OFF_SHARE, 0.65, 0.5, 1.0)
"""Of the threshold; the default first, as in the others."""
GAPS = (DEFAULTS["gap"], 0.0, 0.5, 2.0)
"""Seconds."""
MIN_LENGTHS = (DEFAULTS["min_length"], 0.5, 1.0, 2.0)
"""Seconds."""
RISE = 1.0
"""Tried beside none, once the others are chosen."""
LEAST_EVENTS = 20
"""True events of a label below which its settings stay the defaults."""
LEAST_GAIN = 0.02
"""In F1, below which they do too: what so few events can tell apart."""


@dataclass(frozen=True, kw_only=True)
class ScoredRecording:
    """A recording with its true events, scored at a live hop by a model not trained on its source.

    Window n begins at sample n * hop.
    """

    source: str
    seconds: float
    truth: Events
    """Pauses that no window can show do not divide them."""
    scores: Scores
    """(windows, labels)."""
    labels: Mask
    """(windows, labels), by the label rule of the windows."""
    hop: int
    window: int
    """Samples, as hop."""
    rate: int
    """Hertz."""


class Detected(NamedTuple):
    """A recording and the labels, with thresholds and settings, that its events are made by."""

    recording: ScoredRecording
    labels: tuple[Label, ...]


def detect(recording: ScoredRecording, labels: Sequence[Label]) -> Events:
    """Return the events of a recording as a stream of it would have them."""
    rate, hop = recording.rate, recording.hop
    detector = EventDetector(labels, {}, hop=hop, sample_rate=rate)
    names = [label.name for label in labels]
    told = [
        event
        for n, row in enumerate(recording.scores.tolist())
        for event in detector.feed(
            n * hop, n * hop + recording.window, dict(zip(names, row, strict=True))
        )
    ]
    found: Events = defaultdict(list)
    for event in (*told, *detector.finish()):
        if event.end is not None:
            found[event.label].append(Span(event.start / rate, event.end / rate))
    return dict(found)


def calibrate(recordings: Sequence[ScoredRecording], labels: Sequence[Label]) -> list[Label]:
    """Return the labels with the settings of their events that have the best F1.

    F1: the mean over the collars. The grid is OFF_SHARES x GAPS x MIN_LENGTHS, then RISE; the
    defaults stay for a label of fewer than LEAST_EVENTS true events, or where nothing is LEAST_GAIN
    better.
    """
    labels = [replace(label, events={}) for label in labels]
    enough = [label for label in labels if supported(recordings, label.name)]
    if not enough:
        return labels
    best: dict[str, tuple[float, dict[str, float]]] = {}
    for share, gap in product(OFF_SHARES, GAPS):
        tried = [replace(one, events=_settings(one, share, gap, 0.0)) for one in labels]
        found = [(one.truth, detect(one, tried)) for one in recordings]
        for label, shortest in product(enough, MIN_LENGTHS):
            value = _mean_f1(found, label.name, shortest)
            before = best.setdefault(label.name, (value + LEAST_GAIN, {}))
            if value > before[0]:
                best[label.name] = value, _settings(label, share, gap, shortest)
    chosen = {name: settings for name, (_, settings) in best.items()}
    labels = [replace(one, events=chosen.get(one.name, {})) for one in labels]
    return _with_rise(recordings, labels, [one.name for one in enough])


def _with_rise(
    recordings: Sequence[ScoredRecording], labels: Sequence[Label], enough: Sequence[str]
) -> list[Label]:
    """Return the labels, with RISE where that is LEAST_GAIN better."""
    risen = [replace(one, events=one.events | {"rise": RISE}) for one in labels]
    before, after = (
        [(one.truth, detect(one, tried)) for one in recordings] for tried in (labels, risen)
    )
    return [
        new
        if old.name in enough
        and _mean_f1(after, old.name, 0.0) > _mean_f1(before, old.name, 0.0) + LEAST_GAIN
        else old
        for old, new in zip(labels, risen, strict=True)
    ]


def supported(recordings: Sequence[ScoredRecording], label: str) -> bool:
    """Return whether a label has true events enough to choose its settings by."""
    return sum(len(one.truth.get(label, ())) for one in recordings) >= LEAST_EVENTS


def _settings(label: Label, share: float, gap: float, shortest: float) -> dict[str, float]:
    """Return what differs from the defaults, as a manifest has it."""
    off = {} if share == OFF_SHARE else {"off": round(share * label.threshold, 4)}
    others = {"gap": gap, "min_length": shortest}
    return off | {name: value for name, value in others.items() if value != DEFAULTS[name]}


def _mean_f1(found: Sequence[tuple[Events, Events]], label: str, shortest: float) -> float:
    """Return F1 over the collars, without the events that a min_length of `shortest` leaves out."""
    pairs = [
        (true.get(label, []), [one for one in got.get(label, ()) if _length(one) >= shortest])
        for true, got in found
    ]
    each = [
        total(count(true, got, collar=collar) for true, got in pairs).f1 or 0.0
        for collar in COLLARS
    ]
    return float(np.mean(each))


def _length(event: Span) -> float:
    # Both are whole samples over the rate.
    return event.end - event.start + 1e-9


def measure_events(detected: Sequence[Detected]) -> Metrics:
    """Return the figures of events for a manifest and its report; at least one recording.

    Beside F1 of the events: of onsets alone, with the default settings, of the windows by the same
    scores, and of a baseline that knows which labels a recording has, not when: one event of each
    over its whole length.
    """
    recordings = [one for one, _ in detected]
    names = [label.name for label in detected[0].labels]
    found = [detect(*one) for one in detected]
    plain = [detect(one, [replace(each, events={}) for each in own]) for one, own in detected]
    whole = [{name: [Span(0.0, one.seconds)] for name in one.truth} for one in recordings]
    windows = _windows_f1(detected, names)
    truth = [one.truth for one in recordings]
    right = {c: _counts(truth, found, names, c) for c in COLLARS}
    by_kind = {
        "f1": right,
        "f1_onset": {c: _counts(truth, found, names, c, offsets=False) for c in COLLARS},
        "f1_defaults": {c: _counts(truth, plain, names, c) for c in COLLARS},
        "f1_baseline": {c: _counts(truth, whole, names, c) for c in COLLARS},
    }
    some = recordings[0]
    errors = {name: _errors(recordings, found, name) for name in names}
    return {
        "recordings": len(recordings),
        "sources": len({one.source for one in recordings}),
        "seconds": sum(one.seconds for one in recordings),
        "hop_s": some.hop / some.rate,
        "window_s": some.window / some.rate,
        **{f"macro_{kind}": _macro(counts) for kind, counts in by_kind.items()},
        "micro_f1": {f"{c:g}": total(each.values()).f1 for c, each in right.items()},
        "macro_f1_windows": _mean(list(windows.values())),
        "onset_error": _quartiles([e for each in errors.values() for e in each], some),
        "labels": {
            name: {
                "events": right[COLLARS[0]][name].present,
                "predicted": right[COLLARS[0]][name].predicted,
                **{kind: _by_collar(each, name, lambda n: n.f1) for kind, each in by_kind.items()},
                "precision": _by_collar(right, name, lambda n: n.precision),
                "recall": _by_collar(right, name, lambda n: n.recall),
                "f1_windows": windows[name],
                "onset_error": _quartiles(errors[name], some),
            }
            for name in names
        },
    }


def settings_of(labels: Sequence[Label], recordings: Sequence[ScoredRecording]) -> Metrics:
    """Return by label its settings, and why they are what they are."""
    return {
        label.name: {
            **complete(label, {}),
            "why": "calibrated"
            if label.events
            else "defaults: nothing tried was better"
            if supported(recordings, label.name)
            else f"defaults: fewer than {LEAST_EVENTS} events to choose by",
        }
        for label in labels
    }


def _counts(
    truth: Sequence[Events],
    found: Sequence[Mapping[str, list[Span]]],
    names: Sequence[str],
    collar: float,
    *,
    offsets: bool = True,
) -> dict[str, Counts]:
    return {
        name: total(
            count(true.get(name, []), got.get(name, []), collar=collar, offsets=offsets)
            for true, got in zip(truth, found, strict=True)
        )
        for name in names
    }


def _by_collar(
    counts: Mapping[float, dict[str, Counts]], name: str, figure: Callable[[Counts], float | None]
) -> dict[str, float | None]:
    return {f"{collar:g}": figure(each[name]) for collar, each in counts.items()}


def _macro(counts: Mapping[float, dict[str, Counts]]) -> dict[str, float | None]:
    """Return the mean F1 of the labels that have events, by collar."""
    return {f"{c:g}": _mean([one.f1 for one in each.values()]) for c, each in counts.items()}


def _windows_f1(detected: Sequence[Detected], names: Sequence[str]) -> dict[str, float | None]:
    on = [one.scores >= [label.threshold for label in labels] for one, labels in detected]
    truth = np.concatenate([one.labels for one, _ in detected])
    return dict(zip(names, f1_by_label(np.concatenate(on), truth), strict=True))


def _errors(
    recordings: Sequence[ScoredRecording], found: Sequence[Events], name: str
) -> list[float]:
    return [
        error
        for one, got in zip(recordings, found, strict=True)
        for error in onset_errors(
            one.truth.get(name, []), got.get(name, []), reach=one.window / one.rate
        )
    ]


def _quartiles(errors: Sequence[float], some: ScoredRecording) -> dict[str, Any] | None:
    """Return median and quartiles in seconds, and the share of a window that is heard as the label.

    An onset is told where half of the window is behind it: where less is enough, it is told early.
    """
    if not errors:
        return None
    lower, median, upper = np.quantile(errors, (0.25, 0.5, 0.75)).tolist()
    share = min(max(0.5 + median * some.rate / some.window, 0.0), 1.0)
    return {"count": len(errors), "lower": lower, "median": median, "upper": upper, "share": share}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
