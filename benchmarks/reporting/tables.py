"""Results as tables: for the terminal, the page, and the documents, where they stand between marks.

Within what is compared, the fastest stands first, whoever it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from benchmarks.reporting import claims, model_tables, results
from common.errors import InputError

Report = dict[str, Any]
MARKED = re.compile(
    r"(<!-- results: ([\w-]+)(?:, ([^>]+))? -->\n).*?(<!-- end of results -->)", flags=re.DOTALL
)
"""After a comma: how `what` begins in the rows that are shown, without note and gaps."""
FASTEST = (
    *(("median_ms", 1), ("requests_s", -1), ("cpu_s", 1), ("seconds", 1), ("streams_held", -1)),
    *(("a_second", -1), ("windows_s", -1)),
)
"""Fields by which rows are sorted, the first that there is; -1: the largest is the fastest."""
LABELS = {
    "what": "",
    "name": "",
    "median_ms": "ms",
    "requests_s": "requests a second",
    "dollars_of_1000_stream_hours": "dollars, 1,000 stream-hours",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "cpu_ms": "processor time of one, ms",
    "cpu_s": "processor time, s",
    "kb_per_stream": "kB a stream",
    "server_mb": "server, MB",
    "wakeups_per_s": "wake-ups a second",
    "cpu_percent": "% of a core",
    "load_ms": "load, ms",
    "numbers": "of the 26",
    "as_librosa": "as librosa's",
    "worst_db": "worst, dB",
    "start_s": "start, s",
    "lines": "lines written",
    "core_ms": "ms of a core a window",
    "core_ms_simulated": "simulated",
    "p50_ms_simulated": "p50 simulated, ms",
    "p999_ms": "p99.9, ms",
    "mib": "MiB",
    "livez_p99_ms": "/livez p99, ms",
    "streams_held": "streams",
    "a_second": "a second",
    "worst_score": "largest difference of a score",
    "labels_differ": "windows with other labels",
    "answered_per_s": "answered a second",
    "expected_per_s": "expected",
    "felt_p50_ms": "felt p50, ms",
    "felt_p99_ms": "felt p99, ms",
    "told_p99_ms": "told p99, ms",
    "difference_p99_ms": "told less felt p99, ms",
    "sending_p99_ms": "sending late p99, ms",
    "server_cpu": "cores",
    "server_mib": "MiB",
    "load_cpu": "load cores",
}
HIDDEN = {"rounds", "planned"}


OF_ALL = {"note", "gaps", "missed"}


class View(NamedTuple):
    """A table of text."""

    head: list[str]
    rows: list[list[str]]
    words: int
    """Columns of text before those of numbers."""


def views_of(report: Report) -> list[View]:
    """Return the tables of a result, under the heads that it names itself."""
    return views(report["rows"], report.get("heads"))


def views(rows: Iterable[Mapping[str, Any]], heads: Mapping[str, str] | None = None) -> list[View]:
    """Return a table for each run of rows that have the same fields; heads: by the field."""
    groups = groupby(rows, key=lambda row: frozenset(row) - {"gap"})
    return [view(list(some), heads) for _, some in groups]


def view(rows: Iterable[Mapping[str, Any]], heads: Mapping[str, str] | None = None) -> View:
    """Return the rows of a result as text, in order; heads: those of columns, by the field."""
    ordered = in_order(rows)
    names = list(dict.fromkeys(name for row in ordered for name in row))
    keys = [name for name in results.KEYS if name in names]
    spreads = {name for name in names if name.endswith(("_p25", "_p75")) or _is_quartile(name)}
    measured = [name for name in names if name not in {*keys, *spreads, *HIDDEN}]
    words = [name for name in keys if any(isinstance(row.get(name), str) for row in ordered)]
    columns = [*words, *(name for name in keys if name not in words), *measured]
    labels = {**LABELS, "ratio": f"times {base_of(ordered)}", **(heads or {})}
    head = [labels.get(name, name.replace("_", " ")) for name in columns]
    cells = [[_cell(row, name) for name in columns] for row in ordered]
    return View(head, cells, len(words))


def in_order(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return rows by what they measure, in the order of their first; of these the fastest first."""
    listed = list(rows)
    groups = list(dict.fromkeys(_group(row) for row in listed))
    field, sign = next(
        (each for each in FASTEST if any(each[0] in row for row in listed)), ("rounds", 0)
    )
    return sorted(
        listed,
        # What was not measured stands last.
        key=lambda row: (
            groups.index(_group(row)),
            row.get(field) is None,
            sign * float(row.get(field) or 0),
        ),
    )


def base_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the name of what the others are compared with."""
    return next((str(row["name"]) for row in rows if results.is_base(row)), "ours")


def _group(row: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(each for each in results.key_of(row) if each[0] != "name")


def _is_quartile(name: str) -> bool:
    return name in {"p25_ms", "p75_ms"}


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if name in results.KEYS:
        return f"{value:,}"
    low, high = ("p25_ms", "p75_ms") if name == "median_ms" else (f"{name}_p25", f"{name}_p75")
    if row.get(low) is None or row[low] == row[high]:
        return number(value)
    return f"{number(value)} ({number(row[low])} to {number(row[high])})"


def number(value: float) -> str:
    """Return a number with three digits, larger ones whole."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def markdown(shown: View) -> str:
    """Return a table of Markdown."""
    aligned = ["---"] * shown.words + ["---:"] * (len(shown.head) - shown.words)
    lines = (_line(cells) for cells in (shown.head, aligned, *shown.rows))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def part_of(report: Report, begin: str) -> Report:
    """Return the rows of a result whose `what` begins so, and nothing of the others.

    Raises InputError if there are none.
    """
    rows = [row for row in report["rows"] if str(row.get("what", "")).startswith(begin)]
    if not rows:
        raise InputError(f"the results of {report['benchmark']!r} have no row {begin!r}")
    return {name: report[name] for name in report if name not in OF_ALL} | {"rows": rows}


def section(report: Report) -> str:
    """Return what stands in a document: the table, gaps, and how it was measured."""
    parts = [markdown(shown) for shown in views_of(report)]
    parts += [f"Not measured: {name}: {why}." for name, why in report.get("gaps", {}).items()]
    parts += [report["note"]] if "note" in report else []
    parts += [f"Below its aim: {'; '.join(report['missed'])}."] if report.get("missed") else []
    parts.append(f"{command_of(report)}: {results.where(report)}.")
    return "\n" + "\n\n".join(wrapped(part) for part in parts) + "\n\n"


def command_of(report: Report) -> str:
    """Return what measured it, in Markdown; copies may have none."""
    return f"`{report['command']}`" if report["command"] else "No command was recorded"


def publish(given: str | None, report: Report) -> None:
    """Write or print the results as --json asks for; unless printed, show them as a document."""
    if not results.publish(given, report):
        print(section(results.rounded(report)))


def _section_of(make: Callable[[], Report]) -> str:
    return section(make())


def wrapped(text: str, *, columns: int = 100) -> str:
    """Return a paragraph in lines of at most so many columns; a table as it is."""
    if text.startswith("|"):
        return text
    import textwrap

    return textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)


def document(text: str, reports: Mapping[str, Report]) -> str:
    """Return a document with its marked parts made anew. Raises InputError without a result."""
    makers: dict[str, Callable[[], str]] = {
        "readme": lambda: claims.table(reports),
        **{name: partial(_section_of, made) for name, made in model_tables.MAKERS.items()},
    }

    def made(found: re.Match[str]) -> str:
        opening, name, begin, closing = found.groups()
        if name not in makers and name not in reports:
            raise InputError(f"there is no benchmarks/results/{name}.json")
        if name in makers:
            body = makers[name]()
        else:
            body = section(part_of(reports[name], begin) if begin else reports[name])
        return f"{opening}{body}{closing}"

    return MARKED.sub(made, text)
