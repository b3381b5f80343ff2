"""`timbre bench page`: the page, the tables of the documents and the picture, from the results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import report_page
from benchmarks.reporting import plots, results, tables
from common.atomic import write_atomic
from common.errors import InputError
from common.page import Html, chart, escape, page, paragraph, table

ROOT = Path(__file__).parent.parent.parent
TITLE = "Timbre beside the field"
STYLE = Path(__file__).with_suffix(".css")
DOCUMENTS = (
    *("BENCHMARKS.md", "README.md", "MODELS.md", "benchmarks/scale.md", "docs/how-to/redis.md"),
    *("docs/how-to/kubernetes.md", "docs/how-to/containers.md"),
    *("docs/how-to/jetson-raspberry-pi.md", "docs/monitor.md", "docs/tracing.md"),
)
PAGE = results.FOLDER / "page.html"
PICTURE, PICTURED = "docs/benchmarks.svg", ("feature-peers", "forest", "open-inference")
"""Of the README, and the benchmarks whose ratios are in it."""
AGES = "Age of a window, ms, against the share of time that cores are planned to be busy: p50, p99"
PARTS = ("pictures", "against")
"""Benchmarks whose ratios are of parts of a request or of other versions: none to draw."""
Report = dict[str, Any]


def main(argv: list[str]) -> int:
    """Run `timbre bench page`; 1 with --check when a document is not what the results say."""
    parser = argparse.ArgumentParser(prog="timbre bench page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; name what differs")
    given = parser.parse_args(argv)
    try:
        made = files(results.read_folder())
    except InputError as error:
        parser.error(str(error))
    old = [path for path, text in made.items() if not path.exists() or _text(path) != text]
    for path in old:
        if given.check:
            print(f"{path.relative_to(ROOT)} is not what the results say", file=sys.stderr)
        else:
            write_atomic(path, made[path])
    if not given.check:
        print(f"page     {PAGE}")
    return 1 if given.check and old else 0


def files(reports: Mapping[str, Report]) -> dict[Path, str]:
    """Return every file that is made from the results. Raises InputError if one is missing."""
    made = {ROOT / name: tables.document(_text(ROOT / name), reports) for name in DOCUMENTS}
    made[PAGE] = render(reports)
    bars = [bar for name in PICTURED if name in reports for bar in bars_of(reports[name])]
    made[ROOT / PICTURE] = plots.ratios(bars, alone=True, title=TITLE) + "\n"
    return made


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def render(reports: Mapping[str, Report]) -> str:
    """Return the page."""
    drawn = {name: _section(report) for name, report in reports.items()}
    sections = sorted(
        drawn.items(),
        # Comparisons first, copies of older figures last.
        key=lambda section: (results.COPIED in reports[section[0]], "<svg" not in section[1]),
    )
    lead = paragraph(
        "Each ratio is of two that ran by turns in one run: how many times as long as Timbre the "
        "other takes, the median of the rounds, with its quartiles. Where another is faster, it "
        "stands first. The command make bench measures the short part anew."
    )
    return page(
        TITLE,
        sections,
        lead=lead,
        before=Html(f"<style>{_text(report_page.STYLE)}{_text(STYLE)}</style>"),
    )


def _section(report: Report) -> Html:
    drawn = plots.ratios(bars_of(report))
    base = tables.base_of(report["rows"])
    parts = [chart(drawn, f"Times as long as {base}, with quartiles") if drawn else ""]
    if ages := ages_of(report):
        parts.append(chart(report_page.lines(ages, "{:.0%}".format), AGES))
    parts += [table(shown.head, shown.rows, words=[""]) for shown in tables.views_of(report)]
    parts += [paragraph(f"Not measured: {name}: {why}") for name, why in _gaps(report).items()]
    parts += [paragraph(report["note"])] if "note" in report else []
    parts += [paragraph(f"Below its aim: {line}") for line in report["missed"]]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    settings = ", ".join(f"{name} {value}" for name, value in report["settings"].items())
    told = [results.where(report), f"Settings: {settings}" if settings else "", versions]
    parts += [
        Html(f"<p><code>{escape(report['command'] or 'no command was recorded')}</code></p>"),
        paragraph(". ".join(part for part in told if part), note=True),
    ]
    return Html("".join(parts))


def _gaps(report: Report) -> dict[str, str]:
    found: dict[str, str] = report.get("gaps", {})
    return found


def ages_of(report: Report) -> dict[str, list[tuple[float, float]]]:
    """Return p50 and p99 of simulated ages by the load that was planned for; empty without any."""
    calm = [row for row in report["rows"] if row.get("what", "").endswith("nothing fails")]
    return {
        kind: [(row["planned"], row[f"{kind}_ms"]) for row in calm]
        for kind in ("p99", "p50")
        if calm
    }


def bars_of(report: Report) -> list[plots.Bar]:
    """Return the ratios of a result, those of the fastest first within what is compared."""
    return [
        plots.Bar(
            results.name_of(row),
            row["ratio"],
            row.get("ratio_p25", row["ratio"]),
            row.get("ratio_p75", row["ratio"]),
        )
        for row in tables.in_order(report["rows"])
        if report["benchmark"] not in PARTS
        and (row.get("ratio") or 0) > 0
        and row.get("ratio_p25", row["ratio"]) > 0
        and not str(row.get("name", "")).lower().startswith("timbre")
        and not results.is_base(row)
    ]
