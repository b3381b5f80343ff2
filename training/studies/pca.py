"""Information lost by number of principal components; for the original work's data, beside its."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.standard import mean_and_scale
from training.reporting.charts import MUTED, SERIES, keys_of
from training.studies.protocol import LEAKY, honest, leaky
from training.studies.study import Sheet, Study, is_original

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.common.progress import Progress
    from training.recordings.table import Table
    from training.studies.protocol import Options, Parts

ORIGINAL_RESULTS = {23: 0.01, 21: 0.02, 19: 0.03, 18: 0.04, 17: 0.05, 16: 0.07, 15: 0.08, 14: 0.10}
"""Information lost by number of components, as the original work published it."""
CHOSEN = 16


def run(table: Table, options: Options, progress: Progress) -> Study:
    """Return what every number of components loses."""
    features = table.tensors("features")
    progress(0, 2)
    parts = honest(table, options)
    columns = dict(zip(("training windows", "other sources"), lost(features, parts), strict=True))
    progress(1, 2)
    columns[f"test windows ({LEAKY})"] = lost(features, leaky(table, options))[1]
    progress(2, 2)
    count = features.shape[1]
    published = ORIGINAL_RESULTS if is_original(table) else {}
    rows: list[list[Any]] = [
        [
            str(number),
            *(float(column[number - 1]) for column in columns.values()),
            *([published.get(number)] if published else []),
        ]
        for number in range(count, 0, -1)
    ]
    head = ["components", *columns, *(["original work"] if published else [])]
    note = (
        "Share of the variance of the standardised features that the components do not hold: 1 "
        "minus the explained variance on the windows they were fitted on; on others, what "
        "reconstruction leaves of their distance from the "
        f"training mean. {LEAKY}: fitted on windows of the same recordings."
    )
    return Study(
        "pca",
        "How many components",
        f"{len(parts.train)} windows to fit, {len(parts.test)} of other sources to test, "
        f"{count} features.",
        [Sheet("Information lost", note, head, rows)],
        [partial(_draw, columns=columns, published=published)],
        f"The dashed line is at {CHOSEN} components, which Timbre's recipes have.",
        {
            "lost": {name: column.tolist() for name, column in columns.items()},
            "work_a": published,
        },
        keys_of([*columns, *(["original work"] if published else [])]),
        height=4.0,
    )


def lost(
    features: npt.NDArray[Any], parts: Parts
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return by number of components - 1 the share lost on the training and test windows."""
    train, test = (np.asarray(features[rows], np.float64) for rows in (parts.train, parts.test))
    mean, scale = mean_and_scale(train)
    train, test = ((rows - mean) / scale for rows in (train, test))
    axes = np.linalg.svd(train, full_matrices=False)[2]
    held = [
        np.cumsum(((rows @ axes.T) ** 2).sum(axis=0)) / (rows**2).sum() for rows in (train, test)
    ]
    on_train, on_test = (np.maximum(0.0, 1 - share) for share in held)
    return on_train, on_test


def _draw(
    ax: Any, columns: dict[str, npt.NDArray[np.float64]], published: dict[int, float]
) -> None:
    for number, column in enumerate(columns.values()):
        at = range(1, len(column) + 1)
        ax.plot(at, 100 * column, "o-", markersize=4, color=SERIES[number])
    if published:
        lost = [100 * share for share in published.values()]
        ax.plot(list(published), lost, "s", color=SERIES[len(columns)])
    ax.axvline(CHOSEN, color=MUTED, linestyle="--", linewidth=1, zorder=0)
    ax.set(title="Information lost, %", xlabel="components", ylim=(0, None))
