"""Totals as text for Prometheus: its own format 0.0.4, and OpenMetrics 1.0."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

from service.metrics.families import Counter, Family, Gauge, Histogram
from service.metrics.slot import Labels
from service.metrics.totals import Values

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
QUALITY = re.compile(r"q=(\d(?:\.\d{1,3})?)")


def media_type(accept: str) -> str:
    """Return the format for an Accept header: OpenMetrics where it is wanted at least as much."""
    wanted = {"text/plain": 0.0, "application/openmetrics-text": 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (each.strip() for each in part.split(";"))
        version = next((each for each in parameters if each.startswith("version=")), "")
        if kind not in wanted or (kind != "text/plain" and version[8:] not in ("", "1.0.0")):
            continue
        found = [QUALITY.fullmatch(each) for each in parameters]
        quality = next((float(match[1]) for match in found if match), 1.0)
        wanted[kind] = max(wanted[kind], quality)
    text, openmetrics = wanted.values()
    return OPEN_METRICS if openmetrics and openmetrics >= text else TEXT


def expose(families: dict[str, Family], totals: Values, *, kind: str, now: float) -> str:
    """Return the text. kind: OPEN_METRICS or TEXT. now: time.monotonic()."""
    lines: list[str] = []
    for name, family in families.items():
        told = name.removesuffix("_total") if kind == OPEN_METRICS else name
        lines += f"# HELP {told} {family.text}", f"# TYPE {told} {family.kind}"
        for labels, values in sorted(totals[name].items()):
            lines += _samples(family, labels, values, now)
    if kind == OPEN_METRICS:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _samples(family: Family, labels: Labels, values: list[float], now: float) -> Iterator[str]:
    pairs = ",".join(
        f'{name}="{value.translate(ESCAPES)}"'
        for name, value in zip(family.labels, labels, strict=True)
    )
    braces = f"{{{pairs}}}" if pairs else ""
    if isinstance(family, Histogram):
        *counts, total = values
        before = f"{family.name}_bucket{{{pairs}{',' if pairs else ''}le="
        below = list(accumulate(counts))
        for bound, count in zip((*family.bounds, "+Inf"), below, strict=True):
            yield f'{before}"{bound}"}} {_number(count)}'
        yield f"{family.name}_sum{braces} {_number(total)}"
        yield f"{family.name}_count{braces} {_number(below[-1])}"
    elif isinstance(family, Gauge):
        shown = family.shown(values[0], now)
        if shown is not None:
            yield f"{family.name}{braces} {_number(shown)}"
    elif isinstance(family, Counter):
        yield f"{family.name}{braces} {_number(values[0])}"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
