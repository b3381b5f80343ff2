"""The tables of MODELS.md that the manifests of the shipped models tell: scores and sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.reporting import results
from models.manifest import Manifest
from models.store import DEFAULT_PATH, Store

Report = dict[str, Any]
Metrics = dict[str, Any]
SOUND, PICTURE = ("instruments-net", "instruments-forest"), "clip-art"
SHIPPED = (*SOUND, PICTURE)
LEFT_OUT = {
    "accuracy": "accuracy",
    "accuracy_all_negative": "all negative",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "macro_f1_mixture": "mixtures",
    "mean_average_precision": "mAP",
    "top1": "top-1",
    "top1_note": "notes",
    "top1_solo": "phrases",
    "top1_majority": "majority",
    "quiet_without_label": "quiet",
}
"""Figures of a source that was left out, in the order of the table."""
STYLES = {
    "top1": "top-1",
    "top2": "top-2",
    "top3": "top-3",
    "macro_f1": "macro-F1",
    "majority": "majority",
}
STYLE_HEADS = {"what": "style never seen", "name": "things", **STYLES}
THINGS = {"new things": "new", "things met in another source": "trained on"}


def left_out(folder: Path = DEFAULT_PATH) -> Report:
    """Return the figures of models of instruments, for each source that was left out."""
    rows, found = [], {name: _metrics(folder, name) for name in SOUND}
    for name, metrics in found.items():
        for source, part in [*metrics["left_out"].items(), ("mean", metrics["mean"])]:
            rows.append({"what": name, "name": source, **_rounded(part, LEFT_OUT)})
    orchestra = found[SOUND[0]]["ensemble"]
    return _report(
        folder,
        SOUND,
        rows,
        command="timbre train instruments",
        heads={"what": "model", "name": "source left out", **LEFT_OUT},
        note=(
            "On a recording of a string orchestra, not part of the training data, "
            f"{orchestra['some_right_label']:.0%} of the windows get a string label from "
            f"{SOUND[0]} and {orchestra['some_wrong_label']:.0%} a label of something else."
        ),
    )


def styles(folder: Path = DEFAULT_PATH) -> Report:
    """Return the figures of the model of drawings, for each style that it has not seen."""
    metrics = _metrics(folder, PICTURE)
    return _report(
        folder,
        (PICTURE,),
        style_rows(metrics),
        command="timbre train clip-art",
        heads=STYLE_HEADS,
        note=f"Calibrated scores are off by {metrics['mean']['calibration_error']:.0%} on a style "
        "never seen, in the mean.",
    )


def style_rows(metrics: Metrics) -> list[dict[str, Any]]:
    """Return a row for each style and kind of things in the metrics of a model, and their means."""
    rows: list[dict[str, Any]] = [
        {
            "what": style,
            "name": short,
            "pictures": parts[name]["pictures"],
            **_rounded(parts[name], STYLES),
        }
        for style, parts in metrics["tests"].items()
        for name, short in THINGS.items()
    ]
    for name, short in THINGS.items():
        parts = [found[name] for found in metrics["tests"].values()]
        mean = {key: sum(part[key] for part in parts) / len(parts) for key in STYLES}
        rows.append({"what": "mean", "name": short, "pictures": None, **_rounded(mean, STYLES)})
    return rows


def sizes(folder: Path = DEFAULT_PATH) -> Report:
    """Return what the files of the shipped models take."""
    rows = [
        {
            "what": name,
            "version": _version(folder, name),
            "model_mb": (folder / name / _version(folder, name) / "model.onnx").stat().st_size
            / 1e6,
        }
        for name in SHIPPED
    ]
    heads = {"what": "model", "model_mb": "MB"}
    return _report(folder, SHIPPED, rows, command="timbre models list", heads=heads)


MAKERS: dict[str, Callable[[], Report]] = {
    "manifest-left-out": left_out,
    "manifest-styles": styles,
    "manifest-sizes": sizes,
}
"""By the name of the mark in the document."""


def _rounded(part: Metrics, names: Iterable[str]) -> dict[str, float]:
    return {name: round(part[name], 2) for name in names}


def _report(folder: Path, names: Iterable[str], rows: list[dict[str, Any]], **more: Any) -> Report:
    """Return the rows like results; in the place of a machine stand the versions of models."""
    told = (
        f"{name} {_version(folder, name)} of {_manifest(folder, name).created[:10]}"
        for name in names
    )
    return {"benchmark": "models", "rows": rows, results.MODELS: ", ".join(told), **more}


def _metrics(folder: Path, name: str) -> Metrics:
    found: Metrics = _manifest(folder, name).metrics
    return found


def _manifest(folder: Path, name: str) -> Manifest:
    path = folder / name / _version(folder, name) / "manifest.json"
    return Manifest.from_json(path.read_bytes())


def _version(folder: Path, name: str) -> str:
    return Store(folder).versions(name)[-1]
