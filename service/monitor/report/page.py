"""The page of a report: events as lanes over days, the coverage under them, the hours of the day.

Nothing heard is an empty lane; where nobody listened the lane is hatched. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.page import Html, cards, document, escape, paragraph, table
from service.monitor.report.archive import HEARD, STATES, Archive, LabelSums, Seconds, SourceSums

STYLE = Path(__file__).with_suffix(".css")
MOST_LANES = 30
"""Labels of a source that are drawn, those with the most events."""
MOST_HOURS = 12
"""Labels of a source whose hours are drawn."""
WHOLE = 0.9
"""Share of a bin that is heard from which on it is not hatched; the coverage below is exact."""
DENSE = (0.1, 0.35, 0.7)
"""Shares of a bin with events, between the four shades."""
HIGH = 100
DAY_HOURS = 24
TICK_HOURS = (1, 2, 3, 6, 12, 24, 48, 72, 96, 168, 336, 672, 2_016, 8_064)
MOST_TICKS = 9
LAST_TICK = 0.93
"""Share of the width behind which a time has no room."""
COLOURS = ("var(--good)", "var(--c6)", "var(--c4)", "var(--bad)")
MEANING = {
    "heard": "heard",
    "silent": "silent (nothing above -80 dB: switched off?)",
    "clipped": "clipped",
    "dropped": "dropped",
}


def html_page(archive: Archive, csv: str) -> str:
    """Return the page. csv: the table to be downloaded from it."""
    span = f"{archive.start:%Y-%m-%d %H:%M} to {archive.end:%Y-%m-%d %H:%M}, {archive.zone}"
    parts = [
        f"<h1>What was heard</h1><div class=lead>{escape(span)}</div>",
        cards(_facts(archive)),
        _legend(archive),
    ]
    masks = []
    for number, (name, source) in enumerate(sorted(archive.sources.items())):
        masks.append(_masks(number, archive, source))
        parts += [
            f'<section class="source{number}"><h2>{escape(name)}</h2>',
            paragraph(_sentence(source)),
            *_lanes(archive, source),
            *_hours(source),
            "</section>",
        ]
    parts += [_problems(archive), _download(csv)]
    return document(
        "What was heard",
        Html("".join(parts)),
        style=STYLE.read_text(encoding="utf-8") + "".join(masks),
    )


def _facts(archive: Archive) -> Iterator[tuple[str, str]]:
    sources = archive.sources.values()
    labels = {label for source in sources for label in source.labels}
    events = sum(label.count for source in sources for label in source.labels.values())
    heard = sum(float(source.bins[:, HEARD].sum()) for source in sources)
    yield f"{events:,}", "events"
    yield f"{len(labels):,}", "labels heard"
    yield _length(heard), f"heard by {len(sources)} source{'s' * (len(sources) != 1)}"
    not_heard = len(archive.sources) * archive.bins * archive.bin_s - heard
    yield _length(not_heard), "not heard"


def _length(seconds: float) -> str:
    """Return a length of time in its own unit."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:,.1f} h"


def _legend(archive: Archive) -> str:
    width = timedelta(seconds=archive.bin_s)
    items = "".join(
        f'<li><i style="--key:{colour}"></i>{MEANING[state]}</li>'
        for state, colour in zip(STATES, COLOURS, strict=False)
    )
    return (
        f'<ul class="legend"><li><i style="--key:var(--accent)"></i>events, stronger where there'
        f" are more (a column is {escape(_duration(width))})</li>"
        '<li><span class="none swatch"></span>listened, none heard</li>'
        '<li><span class="off swatch"></span>not listening; pale: for more than a tenth</li>'
        f"</ul><ul class=legend><li>coverage:</li>{items}</ul>"
    )


def _sentence(source: SourceSums) -> str:
    known = source.bins.sum(axis=0)
    total = float(known.sum())
    parts = [
        f"{100 * seconds / (total or 1):.1f} % {state}"
        for state, seconds in zip(STATES, known, strict=True)
        if seconds
    ]
    text = f"Of {_length(total)}: {', '.join(parts)}."
    if source.open_events:
        text += f" {source.open_events:,} events have no end: the monitor was killed meanwhile."
    return text


def _lanes(archive: Archive, source: SourceSums) -> Iterator[str]:
    ranked = _ranked(source)
    for name, label in ranked[:MOST_LANES]:
        title = f"<b>{escape(name)}</b> <i>{label.count:,}</i>"
        yield _lane("", title, _events(label.bins / archive.bin_s), archive.bins)
    if len(ranked) > MOST_LANES:
        others = len(ranked) - MOST_LANES
        yield paragraph(f"{others:,} labels with fewer events are in the CSV only.", note=True)
    if not ranked:
        yield _lane("", "<i>no event of any label</i>", "", archive.bins)
    covered = _coverage(source.bins / archive.bin_s)
    yield _lane(" coverage", "<i>coverage</i>", covered, archive.bins)
    yield f'<div class="lane axis"><span></span><div class="ticks">{_ticks(archive)}</div></div>'


def _ranked(source: SourceSums) -> list[tuple[str, LabelSums]]:
    return sorted(source.labels.items(), key=lambda each: (-each[1].count, each[0]))


def _lane(kind: str, title: str, paths: str, bins: int) -> str:
    drawn = f'<svg viewBox="0 0 {bins} {HIGH}" preserveAspectRatio="none">{paths}</svg>'
    return f'<div class="lane{kind}"><span>{title}</span><div class="track">{drawn}</div></div>'


def _events(shares: Seconds) -> str:
    levels = np.where(shares > 0, 1 + np.digitize(shares, DENSE), 0)
    return "".join(
        f'<path class="event o{level}" d="{_boxes(levels == level, 0, HIGH)}"/>'
        for level in np.unique(levels[levels > 0])
    )


def _coverage(shares: Seconds) -> str:
    """Return the states above each other, each as high as its share; what is left is empty."""
    tops = np.minimum(HIGH, np.round(HIGH * np.cumsum(shares, axis=1))).astype(int)
    tops = np.concatenate([np.zeros((len(tops), 1), int), tops], axis=1)
    paths = []
    for state in range(len(COLOURS)):
        low, high = tops[:, state], tops[:, state + 1]
        pairs = sorted(set(zip(low.tolist(), high.tolist(), strict=True)))
        drawn = "".join(
            _boxes((low == a) & (high == b), HIGH - b, b - a) for a, b in pairs if b > a
        )
        if drawn:
            paths.append(f'<path class="s{state}" d="{drawn}"/>')
    return "".join(paths)


def _runs(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each run of columns."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False]))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _boxes(mask: npt.NDArray[np.bool_], top: int, height: int) -> str:
    return "".join(f"M{a} {top}h{b - a}v{height}h{a - b}z" for a, b in _runs(mask))


def _masks(number: int, archive: Archive, source: SourceSums) -> str:
    """Return the style that hatches where nobody listened, wholly or for a part of a column."""
    heard = source.bins[:, HEARD] / archive.bin_s
    off = _gradient(heard == 0)
    part = _gradient((heard > 0) & (heard < WHOLE))
    return f".source{number} .track {{ --off: {off}; --part: {part}; }}\n"


def _gradient(mask: npt.NDArray[np.bool_]) -> str:
    stops = []
    for a, b in _runs(mask):
        begin, end = (f"{100 * each / len(mask):.3f}%" for each in (a, b))
        stops += [f"transparent {begin}", f"#000 {begin} {end}", f"transparent {end}"]
    return f"linear-gradient(90deg, {', '.join(stops or ['transparent', 'transparent'])})"


def _ticks(archive: Archive) -> str:
    """Return the times below the lanes; every second is left out where there is little room."""
    hours = archive.bin_s * archive.bins / 3_600
    step = next((each for each in TICK_HOURS if hours <= each * MOST_TICKS), TICK_HOURS[-1])
    moment = datetime.combine(archive.start.date(), time(), archive.zone)
    parts: list[str] = []
    while moment < archive.end:
        share = (moment.timestamp() - archive.start.timestamp()) / (3_600 * hours)
        if 0 <= share <= LAST_TICK:
            text = f"{moment:%d %b}" if step >= DAY_HOURS or not moment.hour else f"{moment:%H:%M}"
            some = " class=some" if len(parts) % 2 else ""
            parts.append(f'<span{some} style="left:{100 * share:.2f}%">{text}</span>')
        # Of the wall clock: a day with a change of the clock is a day.
        moment += timedelta(hours=step)
    return "".join(parts)


def _hours(source: SourceSums) -> Iterator[str]:
    ranked = _ranked(source)[:MOST_HOURS]
    if not ranked:
        return
    yield "<h3>Events an hour listened, by hour of the day</h3><div class=hours>"
    heard = source.hours[:, HEARD] / 3_600
    for name, label in ranked:
        rates = np.divide(label.hours, heard, out=np.zeros(24), where=heard > 0)
        most = float(rates.max()) or 1.0
        bars = "".join(_bar(hour, rates[hour], most, heard[hour]) for hour in range(24))
        yield (
            f"<div><h3>{escape(name)}</h3><div class=hour>{bars}</div>"
            "<div class=hourticks><span>0</span><span>6</span><span>12</span><span>18</span></div>"
            f"<small>at most {most:.3g} at {int(rates.argmax())}:00</small></div>"
        )
    yield "</div>"


def _bar(hour: int, rate: float, most: float, heard: float) -> str:
    if not heard:
        return f'<i class="off" title="{hour}:00: not listening"></i>'
    told = f"{hour}:00: {rate:.3g} an hour, {_length(3_600 * heard)} listened"
    return f'<i style="height:{100 * rate / most:.0f}%" title="{told}"></i>'


def _problems(archive: Archive) -> str:
    if not archive.problems:
        return ""
    rows = [
        (at[:19].replace("T", " "), source, problem or "works again", detail)
        for at, source, problem, detail in archive.problems
    ]
    head = ("time (UTC)", "source", "problem", "detail")
    return f"<h2>Problems of sources</h2>{table(head, rows, words=head[1:])}"


def _download(csv: str) -> str:
    data = base64.b64encode(csv.encode()).decode()
    return (
        "<h2>Detections by label and day</h2><p>A row for each source, label and day:"
        " <code>detected</code> is 1, 0 (listened, none heard) or empty (not listening).</p>"
        f'<p><a download="detections.csv" href="data:text/csv;base64,{data}">detections.csv</a></p>'
    )


def _duration(width: timedelta) -> str:
    minutes = int(width.total_seconds() // 60)
    for size, word in ((1_440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            count = minutes // size
            return f"{count} {word}{'s' * (count != 1)}"
    return "nothing"
