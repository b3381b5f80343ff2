"""The figures of the README: each from a result, with the place where it is told in full."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks import features
from benchmarks.serving import live
from common.errors import InputError
from models.store import DEFAULT_PATH, Store

Report = dict[str, Any]
TOP1_HEADING = "instruments"


class Claim(NamedTuple):
    """A line of the README's table."""

    text: str
    """With `{}` where a setting of the run belongs."""
    benchmark: str
    heading: str
    """Of BENCHMARKS.md."""
    figures: Callable[[Report], tuple[str, str]]
    """From the results: ours, and what it is compared with."""
    setting: Callable[[Report], str] = lambda _: ""


def row(report: Report, **wanted: Any) -> dict[str, Any]:
    """Return the row with these values. Raises InputError if there is none."""
    for each in report["rows"]:
        if all(each.get(name) == value for name, value in wanted.items()):
            found: dict[str, Any] = each
            return found
    raise InputError(f"the results of {report['benchmark']} have no row with {wanted}")


def _features(report: Report) -> tuple[str, str]:
    pairs = [
        [row(report, name=name, what=what) for name in ("timbre", "librosa")]
        for what in (features.WINDOW, features.LIVE)
    ]
    ours = ", ".join(f"{mine['median_ms']:.2f}" for mine, _ in pairs)
    theirs = ", ".join(f"{other['median_ms']:.1f}" for _, other in pairs)
    times = ", ".join(_times(other) for _, other in pairs)
    return f"{ours} ms", f"librosa {theirs} ms: {times} times"


def _forest(report: Report) -> tuple[str, str]:
    ours = row(report, name="timbre", rows=1)
    theirs = [row(report, name=name, rows=1) for name in ("skl2onnx", "scikit-learn")]
    return f"{ours['median_ms']:.2f} ms", ", ".join(
        f"{other['name']} {other['median_ms']:.1f} ms: {_times(other)} times" for other in theirs
    )


def _times(found: dict[str, Any]) -> str:
    ratio = found["ratio"]
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _age(report: Report) -> tuple[str, str]:
    few, many = report["settings"]["streams"]
    case = next(each for each in live.cases(few, many) if each.streams == many)
    found = row(report, what=case.what)
    return (
        f"{found['p99_ms']:.0f} ms p99",
        f"{found['answered']:,} of {found['expected']:,} answered",
    )


def _held(report: Report) -> tuple[str, str]:
    settings = report["settings"]
    return f"{report['rows'][0]['streams_held']:,}", f"`timbre serve {settings['serve']}`"


CLAIMS = (
    Claim("26 features of a 2-s window; live, per half second", "features", "features", _features),
    Claim("forest of 200 trees, one window", "forest", "forest", _forest),
    Claim(
        "age of a live window, {} streams at a 1-s hop",
        "live",
        "live-streams",
        _age,
        setting=lambda report: f"{report['settings']['streams'][1]:,}",
    ),
    Claim(
        "live streams at a 1-s hop, p99 under 100 ms, no drop", "capacity", "live-streams", _held
    ),
)


def table(reports: Mapping[str, Report]) -> str:
    """Return the lines, each with its link. Raises InputError without a result."""
    lines = ["| | Timbre | compared in the same run |", "|---|---:|---|"]
    for claim in CLAIMS:
        if claim.benchmark not in reports:
            raise InputError(f"there are no results of {claim.benchmark!r}")
        report = reports[claim.benchmark]
        ours, theirs = claim.figures(report)
        text = claim.text.format(claim.setting(report))
        lines.append(f"| [{text}](BENCHMARKS.md#{claim.heading}) | {ours} | {theirs} |")
    ours, theirs = _top1()
    text = "top-1 of eleven instruments, source left out of training"
    lines.append(f"| [{text}](MODELS.md#{TOP1_HEADING}) | {ours} | {theirs} |")
    return "\n".join(lines) + "\n"


def _top1() -> tuple[str, str]:
    """Return the mean over the sources that were left out, from the manifest of the model."""
    version = Store(DEFAULT_PATH).versions(live.NETWORK)[-1]
    path = DEFAULT_PATH / live.NETWORK / version / "manifest.json"
    parts = json.loads(path.read_text(encoding="utf-8"))["metrics"]["left_out"].values()
    model, baseline = (
        sum(part[name] for part in parts) / len(parts) for name in ("top1", "top1_majority")
    )
    return f"{model:.2f}", f"most frequent one: {baseline:.2f}"
