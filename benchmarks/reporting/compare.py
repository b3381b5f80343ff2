"""`timbre bench compare A B`: whether two results of the same benchmark agree in their ratios.

Ratios only: each is of two subjects that ran by turns in one run, so that the machine and its other
work change both. A and B are files of results, or folders of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import measure
from benchmarks.reporting import results
from common.console import console
from common.errors import InputError

AGREE, DIFFER = 0, 1
TOLERANCE = 0.25


def main(argv: list[str]) -> int:
    """Run `timbre bench compare`: 0 when they agree, 1 when a ratio differs, 2 on wrong use."""
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        pairs = pairs_of(given.a, given.b)
        found = [row for a, b in pairs for row in differences(a, b, given.tolerance)]
    except InputError as error:
        parser.error(str(error))
    if not found:
        parser.error(f"no ratio is in both {given.a} and {given.b}")
    differ = [row for row in found if row["differs"]]
    console(width=140).print(_table(found))
    for row in differ:
        change = "only in one" if row["change"] is None else f"{row['change']:+.0%}"
        print(f"differs: {row['benchmark']}, {row['name']}: {change}", file=sys.stderr)
    print(
        f"{len(differ)} of {len(found)} ratios differ by more than {given.tolerance:.0%}, "
        "or are in one of the results only"
    )
    return DIFFER if differ else AGREE


def pairs_of(a: Path, b: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the results to compare. Raises InputError: unreadable, or of other settings."""
    if a.is_dir() != b.is_dir():
        raise InputError(f"{a} and {b} must both be files, or both folders")
    if not a.is_dir():
        pairs = [(results.read(a), results.read(b))]
    else:
        ours, theirs = results.read_folder(a), results.read_folder(b)
        pairs = [(ours[name], theirs[name]) for name in ours if name in theirs]
    for one, other in pairs:
        _check_same(one, other)
    return pairs


def _check_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    if one["benchmark"] != other["benchmark"]:
        raise InputError(f"results of {one['benchmark']} and of {other['benchmark']}")
    names = sorted({*one["settings"], *other["settings"]})
    for name in names:
        mine, its = one["settings"].get(name), other["settings"].get(name)
        if mine != its:
            raise InputError(f"{one['benchmark']}: other settings: {name} {mine} and {its}")


def differences(a: dict[str, Any], b: dict[str, Any], tolerance: float) -> list[dict[str, Any]]:
    """Return a row for each ratio: benchmark, name, a, b, change (None: in one only), differs."""
    ours, theirs = _ratios(a), _ratios(b)
    found = []
    for key in {**ours, **theirs}:
        one, other = ours.get(key), theirs.get(key)
        times = other["ratio"] / one["ratio"] if one and other else None
        found.append(
            {
                "benchmark": a["benchmark"],
                "name": results.name_of(dict(key)),
                "a": one,
                "b": other,
                "change": times and times - 1,
                # The same bound for a ratio that grew and for one that shrank.
                "differs": times is None or max(times, 1 / times) > 1 + tolerance + 1e-9,
            }
        )
    return found


def _ratios(report: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    return {
        results.key_of(row): row
        for row in report["rows"]
        if isinstance(row.get("ratio"), int | float)
        and row["ratio"] > 0
        and not results.is_base(row)
    }


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("", "", "A", "quartiles", "B", "quartiles", "change", "")
    for row in found:
        change = "" if row["change"] is None else f"{row['change']:+.0%}"
        cells = [cell for side in ("a", "b") for cell in _cells(row[side])]
        last = "differs" if row["differs"] else ""
        table.add_row(row["benchmark"], row["name"], *cells, change, last)
    return table


def _cells(row: dict[str, Any] | None) -> tuple[str, str]:
    if row is None:
        return "-", ""
    spread = f"{row['ratio_p25']:.3g} to {row['ratio_p75']:.3g}" if "ratio_p25" in row else ""
    return f"{row['ratio']:.3g}", spread


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench compare", description=__doc__)
    parser.add_argument("a", type=Path, metavar="A", help="the results compared with")
    parser.add_argument("b", type=Path, metavar="B", help="the others")
    parser.add_argument(
        "--tolerance",
        type=measure.within(0, 10),
        default=TOLERANCE,
        metavar="SHARE",
        help=f"by which a ratio may differ, either way ({TOLERANCE})",
    )
    return parser
