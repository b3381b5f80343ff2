"""What the pipelines `instruments` and `sounds` share: fitted models, artefacts, reports."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from features.config import DEFAULT
from models.artefact import write
from models.manifest import Label, Source
from training.common.label_links import links_of
from training.common.model_settings import BACKBONE, ESTIMATORS, MODELS
from training.common.provenance import origin
from training.reporting import folder, markdown
from training.sound_models import estimators, forest
from training.sound_models.given_network import path_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from features.config import AudioConfig, Kind
    from training.common.model_settings import Network
    from training.evaluation.leave_one_out import Fitted, HeldOut, HistoryEntry, SourceScores
    from training.evaluation.metrics import Metrics, Scores
    from training.pipelines.instruments_recipe import InstrumentsRecipe
    from training.recordings.settings import SoundsRecipe
    from training.reporting.folder import Sounds

    Recipe: TypeAlias = InstrumentsRecipe | SoundsRecipe

KINDS: dict[str, Kind] = dict.fromkeys(MODELS, "features")
KINDS["network"] = "log_mel"
"""The tensors that each model takes; BACKBONE those of its network (`kind_of`)."""
LIBRARIES = dict.fromkeys(MODELS, ("numpy", "scikit-learn", "onnx")) | {
    "network": ("numpy", "torch", "onnx"),
    "dense": ("numpy", "torch", "onnx"),
    "dense-dropout": ("numpy", "torch", "onnx"),
    "lightgbm": ("numpy", "scikit-learn", "lightgbm", "onnx"),
}
DESCRIPTIONS = {
    "forest": "26 features, standardised, projected by PCA, random forest",
    BACKBONE: "a network given by path, frozen, and a small model on its embeddings",
    "network": "a small convolutional network on the log-mel spectrogram",
    "extra-trees": "26 features, extremely randomised trees",
    "gradient-boosting": "26 features, gradient boosting on histograms for each label",
    "lightgbm": "26 features, gradient boosting of LightGBM for each label",
    "neighbours": "26 features, standardised, projected by PCA, nearest neighbours",
    "logistic-regression": "26 features, standardised, logistic regression for each label",
    "linear-svm": "26 features, standardised, a linear support vector machine for each label",
    "dense": "26 features, standardised, a dense network of about 122,000 parameters",
    "dense-dropout": "26 features, standardised, a dense network with batch norm and dropout",
}
GOLDEN = 32
"""Windows whose inputs and scores are stored with the artefact."""


@dataclass(frozen=True)
class Candidate:
    """One fitted model with its thresholds and its evaluation."""

    model: str
    fitted: Fitted
    evaluated: list[SourceScores]
    thresholds: npt.NDArray[np.float32]
    metrics: Metrics
    history: dict[str, list[HistoryEntry]]
    """The course of each training by name."""
    kind: Kind
    """The tensors that the model takes."""
    events: dict[str, dict[str, float]] = field(default_factory=dict)
    """Settings of the events of each label that differ from the defaults."""

    def labels(self, names: Sequence[str]) -> list[Label]:
        """Return the labels as the manifest has them."""
        return [
            Label(name=name, threshold=round(threshold, 4), events=self.events.get(name, {}))
            for name, threshold in zip(names, self.thresholds.tolist(), strict=True)
        ]


def kind_of(recipe: Recipe, model: str) -> Kind:
    """Return the tensors that a model takes. Raises MaterialError for a backbone that is none."""
    if model != BACKBONE:
        return KINDS[model]
    from training.sound_models.embedding import kind_of as kind_of_network

    return kind_of_network(path_of(recipe.network.backbone))


@dataclass(frozen=True, kw_only=True)
class Report:
    """The content of a report beside the figures of its candidate."""

    about: str
    """One paragraph."""
    candidates: dict[str, Metrics]
    """The metrics of every model that was made, the best first."""
    provenance: Sequence[dict[str, str]]
    how: tuple[str, str] = markdown.HOW
    """Heading and text that explain the evaluation."""


@dataclass(frozen=True)
class Taught:
    """What a network learns from beside the labels of its windows."""

    settings: Network
    soft: Scores | None = None
    """Soft targets of all windows, instead of the labels."""
    start: bytes = b""
    """A graph of networks to go on from."""


def fit(
    recipe: Recipe,
    model: str,
    tensors: npt.NDArray[Any],
    labels: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.int64],
    *,
    jobs: int = 1,
    held_out: HeldOut | None = None,
    cache: Path | None = None,
    taught: Taught | None = None,
) -> Fitted:
    """Return one model fitted on some rows of the tensors.

    held_out: windows for the history, not trained on. cache: folder of finished
    networks, so that a killed recipe resumes at the first that is missing. taught: what else a
    network learns from; other models ignore it.
    """
    if model == "forest":
        chosen = np.asarray(tensors[rows])
        return forest.fit(
            chosen, labels[rows], recipe.forest, seed=recipe.seed, jobs=jobs, held_out=held_out
        )
    if model in ESTIMATORS:
        return _estimator(recipe, model, np.asarray(tensors[rows]), labels[rows], jobs)
    # A machine that only makes forests has no torch.
    import torch

    from training.sound_models import network

    torch.set_num_threads(jobs)
    how = taught or Taught(recipe.network)
    return network.fit(
        tensors,
        labels,
        rows,
        how.settings,
        seed=recipe.seed,
        held_out=held_out,
        kept=cache,
        soft=how.soft,
        start=how.start,
    )


def _estimator(
    recipe: Recipe,
    model: str,
    tensors: npt.NDArray[np.float32],
    labels: npt.NDArray[np.bool_],
    jobs: int,
) -> Fitted:
    settings = recipe.estimators.get(model, {})
    common: dict[str, Any] = {"seed": recipe.seed, "most": recipe.forest.rows}
    if not model.startswith("dense"):
        return estimators.fit(model, tensors, labels, settings, jobs=jobs, **common)
    import torch

    from training.sound_models import dense

    torch.set_num_threads(jobs)
    return dense.fit(model, tensors, labels, settings, **common)


def check_estimators(recipe: Recipe) -> None:
    """Raise RecipeError for a setting of [estimators] that its library has not."""
    for name, settings in recipe.estimators.items():
        if not name.startswith("dense"):
            estimators.make(name, settings, labels=1, seed=0)
            continue
        from training.sound_models.dense import epochs_of

        epochs_of(name, settings)


def out_of_bag(model: str, fitted: Fitted) -> dict[str, dict[str, float]]:
    """Print the out-of-bag figures of a forest that has them, and return them as metrics."""
    found = getattr(fitted, "oob", {})
    if not found:
        return {}
    print(
        f"{model}: out-of-bag score {found['score']:.4f} (all labels of a window right), "
        f"element-wise {found['elementwise']:.4f}, on {found['windows']:.0f} training windows"
    )
    return {"oob": found}


def write_artefact(
    recipe: Recipe,
    candidate: Candidate,
    report: Report,
    out: Path,
    *,
    name: str,
    labels: Sequence[str],
    golden_inputs: npt.NDArray[np.float32],
    config: AudioConfig = DEFAULT,
    made_of: dict[str, Any] | None = None,
) -> Path:
    """Write the artefact of a candidate and return its folder. made_of: extra entries of origin."""
    described = [
        replace(label, links=links_of(recipe.links, label.name))
        for label in candidate.labels(labels)
    ]
    thresholds = {label.name: label.threshold for label in described}
    return write(
        out,
        name=name,
        version=recipe.version or None,
        task="multi-label",
        kind=candidate.kind,
        config=config,
        labels=described,
        onnx=candidate.fitted.onnx(config),
        golden_inputs=golden_inputs,
        report=_markdown(name, candidate, report, thresholds),
        metrics=candidate.metrics,
        provenance=[
            Source(source=entry["source"], licence=entry["licence"], use=entry["use"])
            for entry in report.provenance
        ],
        libraries={library: version(library) for library in LIBRARIES[candidate.model]},
        origin=origin(recipe) | (made_of or {}),
    )


def _markdown(name: str, candidate: Candidate, report: Report, thresholds: dict[str, float]) -> str:
    return markdown.write(
        name,
        about=report.about,
        candidates=report.candidates,
        metrics=candidate.metrics,
        evaluated=candidate.evaluated,
        thresholds=thresholds,
        provenance=report.provenance,
        how=report.how,
    )


def write_report(
    artefact: Path,
    candidate: Candidate,
    windows: Sounds,
    *,
    about: str,
    split: str,
) -> Path:
    """Write the report of an artefact, with sounds and pictures, and return its folder.

    split: split.csv, what was in which part.
    """
    fitted = candidate.fitted
    return folder.write(
        artefact,
        about=about,
        evaluated=candidate.evaluated,
        history=candidate.history,
        windows=windows,
        split=split,
        estimator=fitted.pipeline()
        if isinstance(fitted, forest.FittedForest | estimators.FittedEstimator)
        else None,
    )
