"""Detections by source, label and day as CSV, for occupancy models. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from service.monitor.report.archive import HEARD, STATES, Archive
from service.monitor.sinks.text_files import plain

COLUMNS = (
    *("source", "label", "day", "detected", "events", "event_s"),
    *(f"{state.replace(' ', '_')}_s" for state in STATES),
)


def days_csv(archive: Archive, more_labels: Iterable[str] = ()) -> str:
    """Return a row for each source, label and day on which there is coverage.

    `detected` is 1, 0 (listened, and none heard), or empty (nobody listened: no second was heard).
    more_labels: labels besides those that any source heard.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(archive, more_labels))
    return text.getvalue()


def _rows(archive: Archive, more_labels: Iterable[str]) -> Iterator[Sequence[object]]:
    heard = {label for source in archive.sources.values() for label in source.labels}
    labels = sorted({*heard, *more_labels})
    for name, source in sorted(archive.sources.items()):
        for label in labels:
            sums = source.labels.get(label)
            days = sums.days if sums else {}
            for day in sorted({*source.days, *days}):
                seconds = source.days.get(day, np.zeros(len(STATES)))
                events, length = days.get(day, (0, 0.0))
                detected = 1 if day in days else 0 if seconds[HEARD] > 0 else ""
                states = [f"{each:.3f}" for each in seconds]
                yield (
                    plain(name),
                    plain(label),
                    day,
                    detected,
                    int(events),
                    f"{length:.3f}",
                    *states,
                )
