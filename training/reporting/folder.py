"""The folder of a report: report.html, report.json, the recipe, the model as joblib."""

from __future__ import annotations

from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from common.atomic import atomic_folder
from common.page import cards, join, page, paragraph
from common.strict_json import to_json
from models.promote import latency_ms
from models.store import read
from training.common.paths import REPORTS
from training.reporting.data import report_data
from training.reporting.playable import audio, picture
from training.reporting.sections import sections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from training.evaluation.leave_one_out import HistoryEntry, SourceScores
    from training.evaluation.metrics import Metrics
    from training.reporting.sections import Play

NOISE = "noise_without_label"
BASELINES = {
    "macro-F1": ("macro_f1_all_on", "every label always on"),
    "top-1": ("top1_majority", "always the most frequent"),
    "mAP": ("mean_average_precision_constant", "one score for all"),
}
"""By figure its trivial baseline, and what that does."""


class Sounds(Protocol):
    """Windows whose samples can be read."""

    def read(self, index: list[int]) -> Any:
        """Return the samples of some windows, one after the other."""


def write(
    artefact: Path,
    *,
    about: str,
    evaluated: Sequence[SourceScores],
    history: dict[str, list[HistoryEntry]],
    windows: Sounds,
    split: str,
    estimator: Any = None,
) -> Path:
    """Write the report of an artefact and return its folder.

    about: one paragraph. windows: those whose rows `evaluated` names. split: split.csv, what was
    in which part. estimator: what scikit-learn users want to load.
    """
    model = read(artefact)
    report = _report(artefact, about, evaluated, history)
    report["files"] = {
        "size": f"{size_of(artefact) / 1e6:.3g} MB",
        "one window on the machine that trained": f"{latency_ms(model):.2f} ms",
    }

    def play(row: int) -> tuple[str, str]:
        samples = windows.read([row])[0]
        return audio(samples, model.sound[0].sample_rate), picture(samples)

    return write_folder(artefact, report, render(report, play), split=split, estimator=estimator)


def write_folder(
    artefact: Path,
    report: dict[str, Any],
    html: str,
    *,
    split: str,
    beside: Mapping[str, str | bytes] = MappingProxyType({}),
    estimator: Any = None,
) -> Path:
    """Write OUT/reports/NAME-VERSION/ for the artefact OUT/NAME/VERSION, atomically; return it.

    html: report.html. split: split.csv, what was in which part. beside: more files, name to text or
    bytes. estimator: becomes model.joblib.
    """
    target = artefact.parents[1] / REPORTS / f"{artefact.parent.name}-{artefact.name}"
    pages = {
        "report.html": html,
        "report.json": to_json(report, indent=1) + "\n",
        "recipe.toml": report["origin"].get("recipe", ""),
        "split.csv": split,
        **beside,
    }
    with atomic_folder(target, replace=True) as draft:
        for name, text in pages.items():
            (draft / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        if estimator is not None:
            import joblib

            joblib.dump(estimator, draft / "model.joblib", compress=3)
    return target


def render(report: dict[str, Any], play: Play) -> str:
    """Return report.html of report.json."""
    mean = report["mean"]
    facts_on_cards = [
        (f"{value:.2f}", f"{what}, sources not trained on{_beside(mean, what, low, high)}")
        for what, (value, low, high) in report.get("intervals", {}).items()
    ]
    # One model has windows without a label of its test part, and noise that is generated.
    quiet = "windows without a label" if NOISE in mean else "noise and silence"
    facts_on_cards += [
        (f"{mean[key]:.1%}", f"of {what} stays without a label")
        for key, what in (("quiet_without_label", quiet), (NOISE, "generated noise and silence"))
        if mean.get(key) is not None
    ]
    if oob := report.get("oob"):
        facts_on_cards += [
            (f"{oob['score']:.2f}", "out-of-bag score: training windows with all labels right"),
            (f"{oob['elementwise']:.2f}", "out-of-bag accuracy, element-wise"),
        ]
    facts_on_cards += [(text, what) for what, text in report["files"].items()]
    return page(
        f"{report['name']}, version {report['version']}",
        sections(report, play),
        lead=paragraph(report["about"]),
        before=join(cards(facts_on_cards)),
    )


def _beside(mean: Metrics, what: str, low: float, high: float) -> str:
    """Return the interval of a figure, where it has one, and its trivial baseline."""
    key, words = BASELINES[what]
    baseline = f"; {words}: {mean[key]:.2f}" if mean.get(key) is not None else ""
    return (f" ({low:.2f} to {high:.2f})" if low < high else "") + baseline


def _report(
    artefact: Path,
    about: str,
    evaluated: Sequence[SourceScores],
    history: dict[str, list[HistoryEntry]],
) -> dict[str, Any]:
    manifest = read(artefact).manifest
    thresholds = {label.name: label.threshold for label in manifest.labels}
    found = (
        report_data(evaluated, manifest.metrics, thresholds, history=history) if evaluated else {}
    )
    keys = ("name", "version", "created", "libraries", "provenance", "origin")
    return {
        **{key: asdict(manifest)[key] for key in keys},
        "about": about,
        "thresholds": thresholds,
        "mean": manifest.metrics.get("mean", {}),
        "ensemble": manifest.metrics.get("ensemble"),
        "oob": manifest.metrics.get("oob"),
        "events": manifest.metrics.get("events"),
        "threshold_choices": manifest.metrics.get("threshold_choices"),
        "open_set": manifest.metrics.get("open_set"),
        **found,
    }


def size_of(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(file.stat().st_size for file in folder.iterdir())
