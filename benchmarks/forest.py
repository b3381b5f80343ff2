"""The forest in one run as our graph, in scikit-learn, and as the graph of skl2onnx.

All take 26 features through scaler and PCA(16) to the scores of 11 labels, on one thread. The
forest has 200 trees trained on 5,000 synthetic windows with min_samples_split=20: the usual
converter needs minutes and gigabytes for trees of full depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks import measure
from common.errors import ArtefactError
from models.export.forest import export, predict_proba
from models.session import Session

Rows: TypeAlias = npt.NDArray[np.float32]
Subject: TypeAlias = Callable[[Rows], Any]

FEATURES, COMPONENTS, LABELS = 26, 16, 11
ROWS = (1, 32)
TITLE = "scaler + PCA + forest: 200 trees, 11 labels, one thread"
BUDGET_MS = {1: 0.12, 32: 0.8}
OURS, WHAT = "timbre", "scaler, PCA and forest"
FULL = {"rounds": 20, "calls": 10, "trees": 200, "windows": 5_000}
TINY = {"rounds": 1, "calls": 10, "trees": 5, "windows": 200}


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `measure.rows`, by subject and batch size, each with `what` and `rows`.

    tiny: a few trees and calls, to see that it runs. Raises ArtefactError if the subjects do not
    give the same scores: then there is nothing to compare.
    """
    given = TINY if tiny else FULL
    calls = given["calls"]
    pool, steps = train(trees=given["trees"], windows=given["windows"])
    subjects = _subjects(*steps, pool)
    table = []
    for rows in ROWS:
        batches = cycle([pool[start : start + rows] for start in range(0, len(pool) - rows, rows)])
        these = {name: partial(_call, subject, batches) for name, subject in subjects.items()}
        times = measure.in_turn(these, rounds=given["rounds"], calls=calls)
        table += measure.rows(times, ours=OURS, block=calls, what=WHAT, rows=rows)
    return table


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    ours = (row for row in table if row["name"] == OURS)
    return [
        f"{row['rows']} rows: {row['median_ms']:.3f} ms, budget {BUDGET_MS[row['rows']]} ms"
        for row in ours
        if row["median_ms"] > BUDGET_MS[row["rows"]]
    ]


def _call(subject: Subject, batches: Iterator[Rows]) -> None:
    subject(next(batches))


def train(*, trees: int, windows: int) -> tuple[Rows, tuple[Any, Any, Any]]:
    """Return float32 windows (n, 26) and the scaler, PCA and forest fitted to them."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    present = rng.random((windows, LABELS)) < np.linspace(0.05, 0.4, LABELS)
    mixed = present @ rng.normal(size=(LABELS, FEATURES)) + 0.7 * rng.normal(
        size=(windows, FEATURES)
    )
    # Features of music differ in size as these do: a zero-crossing rate beside hertz.
    pool = (mixed * np.geomspace(0.01, 1_000, FEATURES)).astype(np.float32)
    scaler = StandardScaler().fit(pool.astype(np.float64))
    scaled = scaler.transform(pool.astype(np.float64))
    pca = PCA(COMPONENTS, random_state=0).fit(scaled)
    forest = RandomForestClassifier(trees, min_samples_split=20, random_state=0, n_jobs=-1)
    forest.fit(pca.transform(scaled), present.astype(int)).set_params(n_jobs=1)
    return pool, (scaler, pca, forest)


def pipeline(*, trees: int, windows: int) -> Any:
    """Return scaler, PCA and forest as one estimator of scikit-learn."""
    from sklearn.pipeline import make_pipeline

    _, steps = train(trees=trees, windows=windows)
    return make_pipeline(*steps)


def _subjects(scaler: Any, pca: Any, forest: Any, pool: Rows) -> dict[str, Subject]:
    """Return what is compared: functions of rows (n, 26), checked to agree."""
    from skl2onnx import to_onnx
    from sklearn.pipeline import make_pipeline

    ours = Session(export(forest, scaler=scaler, pca=pca))
    pipeline = make_pipeline(scaler, pca, forest)
    # ZipMap makes dictionaries of the scores, and rejects several labels.
    usual_graph = to_onnx(pipeline, pool[:1], options={id(pipeline): {"zipmap": False}})
    usual = usual_session(usual_graph.SerializeToString())
    subjects = {OURS: ours.predict, "scikit-learn": pipeline.predict_proba, "skl2onnx": usual}
    probe = pool[:100]
    expected = predict_proba(forest, probe, scaler=scaler, pca=pca)
    # The usual graph works in float32 throughout: a row near a split may fall to the other side in
    # a tree or two.
    difference = float(np.abs(np.asarray(usual(probe))[:, :, 1].T - expected).max())
    if difference > 3 / len(forest.estimators_):
        raise ArtefactError(f"skl2onnx differs from scikit-learn by {difference:.2g}")
    return subjects


def usual_session(graph: bytes) -> Subject:
    """Return the converter's graph with the session options of ours; it has two outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["probabilities"], {session.get_inputs()[0].name: rows})[0]
