"""`timbre search`: the best of a grid of hyper-parameters on a table of features."""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.atomic import atomic_file, write_atomic
from common.strict_json import to_json
from training.common.cli_helpers import bounded_int, run_command

if TYPE_CHECKING:
    from training.search.feature_table import FeatureTable
    from training.search.splits import Fold

SHOWN = 10
SCORINGS = ("elementwise_accuracy", "accuracy", "f1_macro", "f1_micro", "neg_log_loss")


def main(argv: list[str]) -> int:
    """Search and return the exit code: 0 done, 1 rejected, 130 interrupted."""
    options = _parser().parse_args(argv)
    full = "files in --out are complete; make room or give another folder"
    return run_command("search", lambda: _run(options), full=full)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre search", description="Find the best of a grid on a feature table."
    )
    parser.add_argument(
        "table", metavar="TABLE", type=Path, help="a folder that `timbre data` made"
    )
    parser.add_argument(
        "--grid",
        metavar="GRID",
        default="forest",
        help="a .toml file, or forest (2,952 combinations)",
    )
    parser.add_argument(
        "--method", choices=("path", "grid"), default="path",
        help="path: a forest's whole grid in minutes; grid: any estimator, each combination fitted",
    )  # fmt: skip
    parser.add_argument(
        "--scoring", choices=SCORINGS, default="f1_macro", help="default: %(default)s"
    )
    parser.add_argument(
        "--by-source", action="store_true", help="no source on two sides (else rows are shuffled)"
    )
    parser.add_argument(
        "--folds",
        metavar="N",
        type=bounded_int(2),
        help="default: 10, or by source as many as there are",
    )
    parser.add_argument(
        "--rows", metavar="N", type=bounded_int(1), help="draw so many rows of the table"
    )
    parser.add_argument("--seed", type=bounded_int(0), default=0, help="default: %(default)s")
    parser.add_argument(
        "--jobs", metavar="N", type=bounded_int(1), default=1, help="default: %(default)s"
    )
    parser.add_argument(
        "--no-confirm",
        action="store_true",
        help="do not fit the best again as a plain scikit-learn forest",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="a Dask scheduler whose workers do the work (--method grid)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("search"),
        help="folder of results; a killed --method grid resumes from it (default: %(default)s)",
    )  # fmt: skip
    return parser


def _run(options: argparse.Namespace) -> None:
    from training.search import gridfile
    from training.search.feature_table import open_table
    from training.search.splits import SearchError

    if options.dask and options.method == "path":
        raise SearchError("a path search runs on one machine: --dask goes with --method grid")
    whole = open_table(options.table)
    table = whole.drawn(options.rows, seed=options.seed)
    table, folds = table.split(options.folds, by_source=options.by_source, seed=options.seed)
    file = gridfile.load(options.grid, seed=options.seed)
    search = _search(options, file, folds)
    with bar(options.method) as progress:
        search.set_params(progress=progress).fit(table.features, table.labels)
    _write(options, search, table, folds, gridfile.chosen(file.estimator, search.best_params_))
    _show(options, search, table, folds)


def _search(options: argparse.Namespace, file: Any, folds: list[Fold]) -> Any:
    from training.search import ForestPathSearchCV, ResumableGridSearchCV
    from training.search.limits import accepted

    given = {"scoring": options.scoring, "cv": folds, "n_jobs": options.jobs}
    if options.method == "path":
        return ForestPathSearchCV(
            file.estimator, file.grid, refit=False, confirm=not options.no_confirm, **given
        )
    # Two names of one value are searched once.
    grid = {
        key: list(dict.fromkeys(accepted({key: value})[key] for value in file.grid[key]))
        for key in file.grid
    }
    given |= {"folder": options.out, "dask": options.dask}
    return ResumableGridSearchCV(file.estimator, grid, refit=False, **given)


@contextmanager
def bar(name: str) -> Iterator[Callable[..., None]]:
    """Yield a function of (done, total[, best]) that shows a bar with rate, time and best score."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from common.console import console

    screen = console(stderr=True)
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate)
    times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[best]}"))
    with Progress(
        *columns, *times, console=screen, transient=True, disable=not screen.is_terminal
    ) as bars:
        task = bars.add_task(name, total=None, best="", rate="")

        def update(done: int, total: int, best: float = float("nan")) -> None:
            speed = bars.tasks[0].speed
            shown = "" if math.isnan(best) else f"best {best:.4f}"
            bars.update(
                task,
                completed=done,
                total=total,
                best=shown,
                rate=f"{speed:.2f}/s" if speed else "",
            )

        yield update


def _write(
    options: argparse.Namespace,
    search: Any,
    table: FeatureTable,
    folds: list[Fold],
    chosen: dict[str, Any],
) -> None:
    """Write OUT/results.csv and OUT/best.json, each whole or not at all."""
    from training.search.feature_table import features_of

    options.out.mkdir(parents=True, exist_ok=True)
    found = search.cv_results_
    columns = [key for key in found if key != "params"]
    with (
        atomic_file(options.out / "results.csv") as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(found[key] for key in columns), strict=True))
    best = {
        "params": search.best_params_,
        "score": search.best_score_,
        "std": float(found["std_test_score"][search.best_index_]),
        "confirmed": getattr(search, "confirmed_scores_", None),
        "scoring": options.scoring,
        "method": options.method,
        "table": str(options.table),
        "rows": len(table),
        "folds": len(folds),
        "by_source": options.by_source,
        "seed": options.seed,
        "features": features_of(options.table),
        **chosen,
    }
    text = to_json(best, indent=2, default=_plain)
    write_atomic(options.out / "best.json", text + "\n")


def _plain(value: Any) -> Any:
    """Return arrays and numbers of numpy as Python's, and anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _show(options: argparse.Namespace, search: Any, table: FeatureTable, folds: list[Fold]) -> None:
    from rich.table import Table

    from common.console import console

    found = search.cv_results_
    kind = (
        "by source"
        if options.by_source
        else "of shuffled rows: windows of one recording on both sides flatter"
    )
    title = (
        f"{len(found['params']):,} combinations x {len(folds)} folds {kind}; {len(table):,} rows"
    )
    names = [key for key in found if key.startswith("param_")]
    heads = (name.removeprefix("param_").split("__")[-1].replace("_", " ") for name in names)
    shown = Table("rank", options.scoring.replace("_", " "), "std", *heads, title=title)
    for i in _first(found)[:SHOWN]:
        score, spread = found["mean_test_score"][i], found["std_test_score"][i]
        values = (str(found[name][i]) for name in names)
        shown.add_row(str(found["rank_test_score"][i]), f"{score:.4f}", f"{spread:.4f}", *values)
    console().print(shown)
    if hasattr(search, "confirmed_scores_"):
        scores = search.confirmed_scores_
        print(
            f"the best, as a plain scikit-learn forest: {scores.mean():.4f} "
            f"(std {scores.std():.4f})"
        )
    print(options.out / "best.json")


def _first(found: dict[str, Any]) -> list[int]:
    """Return rows from the best on; of max_features that came to the same, only the first."""
    seen: dict[tuple[Any, ...], int] = {}
    for i in found["rank_test_score"].argsort(kind="stable").tolist():
        other = (
            str(value)
            for key, value in found["params"][i].items()
            if not key.endswith("max_features")
        )
        seen.setdefault((found["rank_test_score"][i], *other), i)
    return list(seen.values())
