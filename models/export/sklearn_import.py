"""`timbre models import`: a scikit-learn pipeline of one's own, in a pickle, as an artefact.

Loading a pickle runs code that is in it. Nothing else loads one: what is served is the ONNX graph.
"""

from __future__ import annotations

import importlib.metadata
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.errors import ArtefactError
from common.terminal import say
from features.config import DEFAULT, AudioConfig
from models.artefact import write
from models.export.estimators import classes_of, export, task_of
from models.manifest import Label

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import numpy.typing as npt

GOLDEN = 32
"""Rows that are stored with the artefact."""


class Features(NamedTuple):
    """Typical rows of features, and how they are made."""

    rows: npt.NDArray[np.float32]
    config: AudioConfig
    labels: tuple[str, ...]
    """Those of a table; empty without one."""


def add_parser(actions: Any, common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add `import` to the sub-commands, and return its parser."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "import",
        parents=[common],
        help="make an artefact of a scikit-learn pipeline on the 26 features",
        description="Loads FILE, which runs code that is in it: import only what you trust.",
    )
    option = parser.add_argument
    option("file", metavar="FILE", type=Path, help="a .joblib or .pkl of a fitted pipeline")
    option("--name", required=True, help="of the model")
    option(
        "--features", type=Path, required=True, metavar="TABLE",
        help="a folder of `timbre data table`, or .npy of rows (n, 26): what it takes",
    )  # fmt: skip
    option("--labels", metavar="A,B", help="in the order of the scores; default: the table's")
    option("--window", type=float, metavar="S", help="seconds, with .npy (default: 2)")
    option("--threshold", type=float, default=0.5, metavar="X", help="of each label (%(default)s)")
    option("--out", type=Path, default=Path("artefacts"), metavar="DIR", help="%(default)s")
    return parser


def import_pipeline(args: argparse.Namespace) -> Path:
    """Write the artefact and return its folder. Raises ArtefactError."""
    features = read_features(args.features, args.window)
    say(f"timbre models: loading {args.file}, which runs code that is in it", error=True)
    estimator = load(args.file)
    _check_width(estimator, features)
    labels = labels_of(estimator, _split(args.labels), features.labels)
    graph = export(estimator, features.rows)
    libraries = ("numpy", "scikit-learn", "onnx")
    return write(
        args.out,
        name=args.name,
        task=task_of(estimator),
        kind="features",
        config=features.config,
        labels=[Label(name=label, threshold=args.threshold) for label in labels],
        onnx=graph,
        golden_inputs=features.rows[:GOLDEN],
        report=f"# {args.name}\n\nImported from {args.file.name}; nothing is known of its data.\n",
        metrics={},
        provenance=[
            {"source": args.file.name, "licence": "not stated", "use": "training, evaluation"}
        ],
        libraries={name: importlib.metadata.version(name) for name in libraries},
        origin={"imported": args.file.name, "estimator": " ".join(repr(estimator).split())},
    )


def read_features(path: Path, window_s: float | None) -> Features:
    """Return the rows of a table, or of a .npy file. Raises ArtefactError."""
    try:
        if path.is_dir():
            about = json.loads((path / "table.json").read_text(encoding="utf-8"))
            file, labels = path / "features.npy", tuple(about["labels"])
            rate, seconds = about["rate"], about["window_s"]
        else:
            file, labels, rate, seconds = path, (), DEFAULT.sample_rate, window_s or 2.0
        rows = np.load(file, allow_pickle=False)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ArtefactError(
            f"{path} is neither a table with features nor a .npy file of rows: {error!r}"
        ) from error
    if labels and window_s not in {None, seconds}:
        raise ArtefactError(f"--window {window_s:g}: the windows of {path} have {seconds:g} s")
    if not 0.5 <= seconds <= 15:
        raise ArtefactError(f"--window {seconds:g} must be from 0.5 to 15 s")
    config = AudioConfig(sample_rate=rate, window=round(seconds * rate))
    (width,) = config.shape("features")
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows) or rows.dtype.kind != "f":
        raise ArtefactError(
            f"{file} is {rows.dtype} {rows.shape}; rows of {width} features are needed, as float32"
        )
    rows = rows.astype(np.float32)
    if not np.isfinite(rows).all():
        raise ArtefactError(f"{file} holds numbers that are not finite")
    chosen = np.random.default_rng(0).permutation(len(rows))[: 10 * GOLDEN]
    return Features(rows[np.sort(chosen)], config, labels)


def load(path: Path) -> Any:
    """Return what is in a pickle, with a warning of another scikit-learn. Raises ArtefactError."""
    import joblib
    from sklearn.base import BaseEstimator, is_classifier

    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            estimator = joblib.load(path)
    except Exception as error:  # code of a pickle raises anything
        raise ArtefactError(f"{path} cannot be loaded: {error or type(error).__name__}") from error
    for warning in {str(one.message).split(". ")[0] for one in told}:
        say(f"timbre models: {warning}", error=True)
    if not (isinstance(estimator, BaseEstimator) and is_classifier(estimator)):
        kind = type(estimator).__name__
        raise ArtefactError(f"{path} holds {kind}, not a classifier or a pipeline that ends in one")
    return estimator


def _check_width(estimator: Any, features: Features) -> None:
    takes, given = getattr(estimator, "n_features_in_", None), features.rows.shape[1]
    if takes is None:
        raise ArtefactError(f"{type(estimator).__name__} is not fitted")
    if takes != given:
        raise ArtefactError(f"it takes {takes} features, where a window has {given}")


def labels_of(estimator: Any, given: Sequence[str], of_table: Sequence[str]) -> tuple[str, ...]:
    """Return the labels in the order of the scores. Raises ArtefactError for a wrong number."""
    classes = classes_of(estimator)
    named = task_of(estimator) == "multi-class"
    labels = tuple(given or (classes if named else of_table))
    if not labels:
        raise ArtefactError(f"--labels is needed: {len(classes)} names in the order of the scores")
    if len(labels) != len(classes):
        raise ArtefactError(f"{len(labels)} labels ({', '.join(labels)}) for {len(classes)} scores")
    if named and set(labels) == set(classes) and list(labels) != classes:
        raise ArtefactError(f"--labels must be in the order of the classes: {','.join(classes)}")
    return labels


def _split(text: str | None) -> list[str]:
    return [label.strip() for label in (text or "").split(",") if label.strip()]
