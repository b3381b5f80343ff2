"""Trees beside other libraries: the same trees, the same rows, the same scores, one thread.

A forest of scikit-learn as our graph, in scikit-learn, in the graph of skl2onnx and in treelite's
interpreter; boosted trees of lightgbm as our graph and in lightgbm's own predictor. Numbers of
trees and of rows vary; the scores of all are checked to agree before anything is timed.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import numpy.typing as npt

from benchmarks import forest, measure
from benchmarks.comparisons import environment
from common.errors import ArtefactError, TimbreError
from models.export import estimators
from models.export.forest import export, predict_proba
from models.session import Session

Rows = npt.NDArray[np.float32]

TITLE = "Trees beside other libraries: the same trees and rows, one thread"
OURS = "timbre"
RANDOM, BOOSTED = "random forest, 11 labels", "boosted trees of lightgbm, 11 classes"
CONVERTIBLE = 200
"""Trees up to which skl2onnx converts within minutes."""
FULL: dict[str, Any] = {
    "rounds": 8,
    "calls": 5,
    "trees": [50, 200, 700],
    "rows": [1, 8, 32, 512],
    "windows": 5_000,
    "peers": True,
}
TINY: dict[str, Any] = {
    "rounds": 1,
    "calls": 1,
    "trees": [3],
    "rows": [1, 4],
    "windows": 300,
    "peers": False,
}
GAPS = {"tl2cgen": "compiling a forest of 50 trees with several outputs took over three minutes"}
CHECKED = 100
"""Rows whose scores are compared."""


class Subject(NamedTuple):
    """Trees in one library."""

    on: Callable[[int], environment.Block]
    """Gives what times calls on so many rows."""
    scores: npt.NDArray[Any]
    load_ms: float | None = None
    near: float = 1e-4
    """By which scores may differ from ours."""


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `measure.rows`, each with `what`, `trees`, `rows` and load_ms.

    Raises ArtefactError if two that have the same trees give other scores.
    """
    from threadpoolctl import threadpool_limits

    given = TINY if tiny else FULL
    trained, rows = _trained(given)
    table: list[dict[str, Any]] = []
    gaps: dict[str, str] = dict(GAPS) if given["peers"] else {}
    with threadpool_limits(1):
        for trees in given["trees"]:
            some = _first(trained, trees)
            with ExitStack() as stack:
                subjects = _random(some, rows, gaps)
                if given["peers"]:
                    _add_treelite(subjects, some, rows, gaps, stack)
                table += _timed(RANDOM, subjects, trees, given)
            table += _timed(BOOSTED, _boosted(trees, rows), trees, given)
    return table + [{"name": name, "gap": why} for name, why in gaps.items()]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each that is faster than ours."""
    return [
        f"{row['name']}, {row['what']}, {row['trees']} trees, {row['rows']} rows: "
        f"takes {row['ratio']:.2f} times as long"
        for row in table
        if row.get("ratio", 1) < 1
    ]


def _trained(given: dict[str, Any]) -> tuple[Any, Rows]:
    """Return a forest and rows as it takes them: scaled and projected."""
    pool, (scaler, pca, trained) = forest.train(trees=max(given["trees"]), windows=given["windows"])
    projected = pca.transform(scaler.transform(pool.astype(np.float64)))
    return trained, np.asarray(projected, np.float32)


def _timed(
    what: str, subjects: dict[str, Subject], trees: int, given: dict[str, Any]
) -> list[dict[str, Any]]:
    _check(what, subjects)
    table = []
    for count in given["rows"]:
        blocks = {name: subject.on(count) for name, subject in subjects.items()}
        times = environment.in_turn(blocks, rounds=given["rounds"], calls=given["calls"])
        found = measure.rows(
            times, ours=OURS, block=given["calls"], what=what, rows=count, trees=trees
        )
        table += [{**row, "load_ms": subjects[row["name"]].load_ms} for row in found]
    return table


def _check(what: str, subjects: dict[str, Subject]) -> None:
    ours = subjects[OURS].scores
    for name, subject in subjects.items():
        difference = float(np.abs(subject.scores - ours).max())
        if difference > subject.near:
            raise ArtefactError(f"{what}: {name} differs from ours by {difference:.2g}")


def _first(trained: Any, trees: int) -> Any:
    """Return a forest of the first trees."""
    some = copy.copy(trained)
    some.estimators_ = trained.estimators_[:trees]
    return some.set_params(n_estimators=trees, n_jobs=1)


def _of_graph(graph: bytes, rows: Rows) -> Subject:
    begin = time.process_time()
    session = Session(graph)
    load_ms = 1e3 * (time.process_time() - begin)
    return Subject(
        lambda count: environment.local(lambda: session.predict(rows[:count])),
        session.predict(rows[:CHECKED]),
        load_ms,
    )


def _random(some: Any, rows: Rows, gaps: dict[str, str]) -> dict[str, Subject]:
    trees = len(some.estimators_)
    subjects = {
        OURS: _of_graph(export(some), rows),
        "scikit-learn": Subject(
            lambda count: environment.local(lambda: some.predict_proba(rows[:count])),
            predict_proba(some, rows[:CHECKED]),
        ),
    }
    if trees <= CONVERTIBLE:
        subjects["skl2onnx"] = _converted(some, rows)
    else:
        gaps[f"skl2onnx, {trees} trees"] = "converting them takes many minutes, and gigabytes"
    return subjects


def _converted(some: Any, rows: Rows) -> Subject:
    from skl2onnx import to_onnx

    made = to_onnx(some, rows[:1], options={id(some): {"zipmap": False}}).SerializeToString()
    begin = time.process_time()
    call = forest.usual_session(made)
    load_ms = 1e3 * (time.process_time() - begin)
    return Subject(
        lambda count: environment.local(lambda: call(rows[:count])),
        np.asarray(call(rows[:CHECKED]))[:, :, 1].T,
        load_ms,
        # It works in float32: a row near a split may fall to the other side in a tree or two.
        near=3 / len(some.estimators_),
    )


def _add_treelite(
    subjects: dict[str, Subject], some: Any, rows: Rows, gaps: dict[str, str], stack: ExitStack
) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    joblib.dump(some, folder / "forest.joblib")
    np.save(folder / "rows.npy", rows)
    paths = str(folder / "forest.joblib"), str(folder / "rows.npy")
    try:
        peer = stack.enter_context(
            environment.peer("treelite", "forest_peer.py", "treelite", *paths)
        )
    except TimbreError as error:
        gaps["treelite"] = str(error)
        return
    subjects["treelite"] = Subject(
        lambda count: lambda calls: peer.block(calls, count),
        np.asarray(peer.about["scores"])[:, :, 1],
        peer.about["load_ms"],
    )


def _boosted(trees: int, rows: Rows) -> dict[str, Subject]:
    """Return subjects on boosted trees: as many in all, over 11 classes, as the forest has."""
    import lightgbm

    wide = rows.astype(np.float64)
    model = lightgbm.LGBMClassifier(
        n_estimators=max(1, trees // forest.LABELS), n_jobs=1, verbose=-1, random_state=0
    )
    classes = np.argmax(wide @ np.random.default_rng(1).normal(size=(wide.shape[1], 11)), axis=1)
    model.fit(wide, classes)
    booster = model.booster_
    return {
        OURS: _of_graph(estimators.export(model, wide), rows),
        "lightgbm": Subject(
            lambda count: environment.local(lambda: booster.predict(wide[:count], num_threads=1)),
            booster.predict(wide[:CHECKED], num_threads=1),
        ),
    }
