"""The page of a rehearsal: what is won, lost and moved, with its sound, and a slider per label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from common.errors import TimbreError
from common.page import Html, cards, closing, escape, opening, paragraph, table
from common.strict_json import to_json
from models.manifest import Label, Manifest
from service.rehearsal.clips import Key, clip_of
from service.rehearsal.compare import Change, Heard, overlap
from service.rehearsal.play import STEPS, Played

STYLE = Path(__file__).with_suffix(".css")
SCRIPT = Path(__file__).with_suffix(".js")
KINDS = ("won", "lost", "moved")
MOST_ROWS = 200
"""Changes of one kind that are shown."""
Clips: TypeAlias = Mapping[Key, str]
Numbers: TypeAlias = Mapping[Key, int]


def counts(played: Iterable[Played]) -> dict[str, dict[str, int]]:
    """Return by label how many events there are before and after, won, lost and moved."""
    found: dict[str, Counter[str]] = {}
    for each in played:
        for side, events in (("before", each.before), ("after", each.after)):
            for event in events:
                found.setdefault(event.label, Counter())[side] += 1
        for change in each.changes:
            found[change.event.label][change.kind] += 1
    columns = ("before", "after", *KINDS)
    return {label: {name: found[label][name] for name in columns} for label in sorted(found)}


def to_be_heard(played: Sequence[Played]) -> dict[Path, list[Heard]]:
    """Return the events whose sound belongs on the page, changes first."""
    wanted = {each.path: [change.event for change in each.changes] for each in played}
    for each in played:
        for label, at in each.at.items():
            own = [event for event in each.after if event.label == label]
            for events in at.values():
                wanted[each.path] += _without(events, own)
            wanted[each.path] += own
    return wanted


def html_page(
    candidate: Manifest,
    served: Manifest,
    played: Sequence[Played],
    failed: Sequence[tuple[Path, TimbreError]],
    clips: Clips,
    *,
    command: str,
) -> Iterator[str]:
    """Yield the page. command: that writes other thresholds, without `--set`."""
    title = f"Rehearsal: {candidate.name} {candidate.version} for {served.version}"
    seconds = sum(each.seconds for each in played)
    found = counts(played)
    yield opening(title, style=STYLE.read_text(encoding="utf-8"))
    yield f"<h1>{escape(title)}</h1><div class=lead>"
    yield f"{len(played):,} recordings, {seconds / 60:,.1f} min</div>"
    totals: Counter[str] = Counter(change.kind for each in played for change in each.changes)
    yield cards((f"{totals[kind]:,}", f"events {kind}") for kind in KINDS)
    yield "<h2>By label</h2>"
    yield table(
        ("label", f"version {served.version}", f"version {candidate.version}", *KINDS),
        [(label, *row.values()) for label, row in found.items()],
    )
    yield from _by_source(played)
    numbers = {key: number for number, key in enumerate(clips)}
    yield from _changes(played, numbers)
    yield from _sliders(candidate, played)
    if failed:
        yield "<h2>Could not be read</h2>"
        yield table(("recording", "why"), [(str(path), str(why)) for path, why in failed])
    data = to_json(_data(candidate, played, clips, command)).replace("<", "\\u003c")
    yield f'<script type="application/json" id="data">{data}</script>'
    yield closing(script=SCRIPT.read_text(encoding="utf-8"))


def _by_source(played: Sequence[Played]) -> Iterator[str]:
    sources: dict[str, Counter[str]] = {}
    for each in played:
        row = sources.setdefault(each.source, Counter())
        row.update(before=len(each.before), after=len(each.after))
        row.update(change.kind for change in each.changes)
    columns = ("before", "after", *KINDS)
    yield "<h2>By source</h2>"
    yield table(
        ("source", *columns),
        [
            (name or "-", *(row[column] for column in columns))
            for name, row in sorted(sources.items())
        ],
    )


def _changes(played: Sequence[Played], numbers: Numbers) -> Iterator[str]:
    for kind in KINDS:
        rows = [(each, change) for each in played for change in each.changes if change.kind == kind]
        yield f"<h2>Events {kind}</h2>"
        if not rows:
            yield paragraph("None.", note=True)
        for each, change in sorted(rows, key=lambda row: -row[1].event.peak)[:MOST_ROWS]:
            yield _row(each, change, numbers)
        if len(rows) > MOST_ROWS:
            yield paragraph(f"{len(rows) - MOST_ROWS:,} more are not shown.", note=True)


def _row(each: Played, change: Change, numbers: Numbers) -> Html:
    event = change.event
    when = f"{event.start:.1f} to {event.end:.1f} s"
    if change.before and change.after:
        when += f", before {change.before.start:.1f} to {change.before.end:.1f} s"
    key, at = clip_of(each.path, event)
    sound = ""
    if key in numbers:
        place = f'data-clip="{numbers[key]}" data-at="{at:.2f}"'
        sound = f'<audio controls preload="none" {place}></audio>'
    return Html(
        f'<div class="change"><span class="kind {change.kind}">{change.kind}</span>'
        f"<span>{escape(event.label)} {event.peak:.2f}<br><small>{escape(each.path.name)}, {when}"
        f"</small></span>{sound}</div>"
    )


def _sliders(candidate: Manifest, played: Sequence[Played]) -> Iterator[str]:
    yield "<h2>Thresholds</h2>"
    yield paragraph("What another threshold of a label would have told, with its sound.")
    peaks = Counter(event.label for each in played for event in each.after)
    for label in sorted(candidate.labels, key=lambda each: (-peaks[each.name], each.name)):
        steps = thresholds(label)
        yield (
            f'<div class="slider" data-label="{escape(label.name)}"><label>'
            f"<b>{escape(label.name)}</b>"
            f'<input type="range" min="0" max="{len(steps) - 1}"'
            f' value="{steps.index(label.threshold)}"><code></code></label>'
            "<output></output><div class=rows></div></div>"
        )
    yield paragraph("This command writes a new version with the thresholds that you chose:")
    yield '<pre id="command"></pre>'


def _data(
    candidate: Manifest, played: Sequence[Played], clips: Clips, command: str
) -> dict[str, Any]:
    """Return what the script needs; an event is [place, start, end, peak, clip, second in it]."""
    numbers = {key: number for number, key in enumerate(clips)}
    labels = {
        label.name: {
            "threshold": label.threshold,
            "count": sum(event.label == label.name for each in played for event in each.after),
            "steps": [_step(label, step, played, numbers) for step in thresholds(label)],
        }
        for label in candidate.labels
    }
    places = [each.path.name for each in played]
    return {"labels": labels, "places": places, "clips": list(clips.values()), "command": command}


def _step(
    label: Label, step: float, played: Sequence[Played], numbers: Numbers
) -> tuple[float, int, list[Any], list[Any]]:
    """Return a threshold, the count of its events, those that are more and those that are not."""
    count, more, less = 0, [], []

    def row(place: int, event: Heard) -> list[Any]:
        times = (round(event.start, 2), round(event.end, 2), round(event.peak, 3))
        key, at = clip_of(played[place].path, event)
        return [place, *times, numbers.get(key), round(at, 2)]

    for place, each in enumerate(played):
        own = [event for event in each.after if event.label == label.name]
        other = own if step == label.threshold else each.at[label.name][step]
        count += len(other)
        more += [row(place, event) for event in _without(other, own)]
        less += [row(place, event) for event in _without(own, other)]
    return step, count, more, less


def thresholds(label: Label) -> list[float]:
    """Return the positions of a label's slider: its own threshold is one."""
    return sorted({*STEPS, label.threshold})


def _without(events: Iterable[Heard], others: Sequence[Heard]) -> list[Heard]:
    """Return the events that overlap with none of the others."""
    return [each for each in events if all(overlap(each, other) <= 0 for other in others)]
