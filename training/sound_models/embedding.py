"""A network given by path, frozen: a linear model on its embeddings, both in one graph.

With few recordings this is far better than any model that learns from them alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from common.atomic import atomic_file
from common.errors import ArtefactError, Unprocessable
from features.config import DEFAULT, AudioConfig
from models.promote import quiet_windows
from models.session import Session
from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from training.evaluation.leave_one_out import HistoryEntry
    from training.evaluation.metrics import Mask, Scores

    Array = npt.NDArray[np.float32]

INPUT, OUTPUT = "samples", "embedding"
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse regularisation of the linear model; the one that is best on sources left out is used."""
ALONE = 0.01
"""The one used where no source can be left out."""
FOLDS = 5
BATCH = 16
NOISES = 300
"""Windows of generated noise and silence that are learnt to have no label."""
NOISE_SHARE = 1.0
"""What they weigh, all together, beside the recordings."""
NOISE_SEED = 3
"""Other windows than those that thresholds and the promotion check have."""
_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Backbone:
    """A network from windows to embeddings."""

    graph: bytes
    """ONNX, from `samples` (n, window) to `embedding` (n, numbers)."""
    name: str
    session: Session

    def __call__(self, windows: npt.NDArray[Any]) -> Array:
        """Return the embeddings (n, numbers) of windows (n, window). Raises MaterialError."""
        try:
            found = [
                self.session.predict(np.asarray(windows[at : at + BATCH], np.float32))
                for at in range(0, len(windows), BATCH)
            ]
        except (ArtefactError, Unprocessable) as error:
            raise MaterialError(f"{self.name} cannot be run: {error}") from error
        rows = np.concatenate(found)
        if rows.ndim != 2 or len(rows) != len(windows) or not np.isfinite(rows).all():
            raise MaterialError(
                f"{self.name} gave embeddings of {rows.shape} for {len(windows)} windows, or not "
                "a number; they must be finite, (n, numbers)"
            )
        return rows


def open_backbone(path: Path, *, window: int) -> Backbone:
    """Return the part of a network from its samples to its embedding.

    It has one input, float32 (n, samples), and an output `embedding`, or only one output. window:
    samples at 22,050 Hz that it is given. Raises MaterialError for a file that is no such network.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise MaterialError(f"{path} cannot be read as an ONNX network: {error}") from error
    inputs, outputs = list(model.graph.input), [one.name for one in model.graph.output]
    output = OUTPUT if OUTPUT in outputs else outputs[0] if len(outputs) == 1 else ""
    if len(inputs) != 1 or not output:
        raise MaterialError(
            f"{path} takes {_listed(one.name for one in inputs)} and gives {_listed(outputs)}; a "
            f"backbone takes one tensor of samples and gives one of the name {OUTPUT!r}, or only "
            "one"
        )
    shape = [one.dim_value or 0 for one in inputs[0].type.tensor_type.shape.dim]
    if len(shape) != 2 or shape[1] not in {0, window}:
        raise MaterialError(
            f"{path} takes {inputs[0].name} of {tuple(shape)} (0: any); a backbone takes "
            f"(n, {window}), the samples of a window at 22,050 Hz (windows.length)"
        )
    part = onnx.utils.Extractor(model).extract_model([inputs[0].name], [output])
    part.graph.input[0].type.tensor_type.shape.dim[1].dim_value = window
    graph = _renamed(part, {inputs[0].name: INPUT, output: OUTPUT}).SerializeToString()
    try:
        return Backbone(graph, path.name, Session(graph, accelerate=False))
    except ArtefactError as error:
        raise MaterialError(f"{path} cannot be run: {error}") from error


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _renamed(model: Any, names: dict[str, str]) -> Any:
    """Return a graph with other names of tensors."""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for side in (node.input, node.output):
            for at, name in enumerate(side):
                side[at] = names.get(name, name)
    return model


def known(path: Path) -> str:
    """Return 16 hex digits of the file's content. Raises MaterialError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise MaterialError(f"{path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class FittedEmbedding:
    """A linear model on embeddings, after the network that gives them."""

    backbone: Backbone
    weights: Array
    """(numbers, labels), of embeddings as they are."""
    bias: Array
    """(labels,)"""
    strength: float
    """Inverse regularisation."""
    tried: dict[float, float]
    """By strength: mean cross-entropy on sources left out; empty where there is one source."""
    history: list[HistoryEntry] = field(default_factory=list)
    """Empty: it learns in one step."""

    def scores(self, windows: npt.NDArray[Any]) -> Scores:
        """Return P(label), (n, labels), of windows (n, samples)."""
        return self.of(self.backbone(windows))

    def of(self, embeddings: Array) -> Scores:
        """Return P(label), (n, labels), of embeddings (n, numbers)."""
        return _sigmoid(embeddings @ self.weights + self.bias)

    def onnx(self, config: AudioConfig = DEFAULT) -> bytes:
        """Return both as one graph from `samples` to `scores`."""
        del config
        import onnx
        from onnx import helper, numpy_helper

        model = onnx.load_from_string(self.backbone.graph)
        graph = model.graph
        labels = len(self.bias)
        graph.initializer.extend(
            [
                numpy_helper.from_array(self.weights, "timbre_weights"),
                numpy_helper.from_array(self.bias, "timbre_bias"),
            ]
        )
        graph.node.extend(
            [
                helper.make_node(
                    "Gemm", [OUTPUT, "timbre_weights", "timbre_bias"], ["timbre_logits"]
                ),
                helper.make_node("Sigmoid", ["timbre_logits"], ["scores"]),
            ]
        )
        del graph.output[:]
        scores = helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", labels])
        graph.output.append(scores)
        content: bytes = model.SerializeToString()
        return content


def _sigmoid(logits: npt.NDArray[Any]) -> Scores:
    scores: Scores = (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
    return scores


def fit(
    path: Path,
    windows: npt.NDArray[Any],
    labels: Mask,
    rows: npt.NDArray[np.int64],
    groups: npt.NDArray[np.integer[Any]],
    *,
    config: AudioConfig,
    seed: int,
    kept: Path,
) -> FittedEmbedding:
    """Return a logistic regression for each label on the embeddings of some windows.

    windows: (n, samples) of the whole table. groups: the source of each. kept: file for the
    embeddings of these rows, read where it is there. Raises MaterialError for a file that is no
    backbone.
    """
    backbone = open_backbone(path, window=config.window)
    found = _embeddings(backbone, windows, rows, kept)
    truth, sources = labels[rows], groups[rows]
    noise = backbone(np.stack(quiet_windows(config, NOISES, seed=NOISE_SEED)))
    tried = _tried(found, truth, sources, noise, seed)
    strength = min(tried, key=lambda each: tried[each]) if tried else ALONE
    weights, bias = _linear(found, truth, noise, strength, seed)
    return FittedEmbedding(backbone, weights, bias, strength, tried)


def _embeddings(
    backbone: Backbone, windows: npt.NDArray[Any], rows: npt.NDArray[np.int64], kept: Path
) -> Array:
    if not kept.is_file():
        parts = (rows[at : at + BATCH] for at in range(0, len(rows), BATCH))
        found = np.concatenate([backbone(np.asarray(windows[part])) for part in parts])
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as draft, draft.open("wb") as file:
            np.save(file, found)
    read: Array = np.load(kept)
    return read


def _tried(
    found: Array, truth: Mask, sources: npt.NDArray[Any], noise: Array, seed: int
) -> dict[float, float]:
    """Return the mean cross-entropy on sources left out, by strength."""
    tried: dict[float, float] = {}
    folds = list(_folds(sources))
    if not folds:
        return tried
    for strength in STRENGTHS:
        scores = np.zeros(truth.shape, np.float32)
        for train, test in folds:
            weights, bias = _linear(found[train], truth[train], noise, strength, seed)
            scores[test] = _sigmoid(found[test] @ weights + bias)
        right = np.where(truth, scores, 1 - scores)
        tried[strength] = float(-np.log(np.maximum(right, 1e-6)).mean())
    return tried


def _folds(
    sources: npt.NDArray[Any],
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield the rows to fit on and those left out; none where there is one source only."""
    from sklearn.model_selection import GroupKFold

    count = min(FOLDS, len(np.unique(sources)))
    if count > 1:
        yield from GroupKFold(count).split(sources, groups=sources)


def _linear(
    found: Array, truth: Mask, noise: Array, strength: float, seed: int
) -> tuple[Array, Array]:
    """Return weights and bias for embeddings as they are; noise has no label."""
    from sklearn.linear_model import LogisticRegression

    every = np.concatenate([found, noise]).astype(np.float64)
    mean, scale = every.mean(axis=0), np.maximum(every.std(axis=0), _LEAST_SCALE)
    exact = (every - mean) / scale
    weight = np.repeat([1.0, NOISE_SHARE * len(found) / len(noise)], [len(found), len(noise)])
    weights, bias = np.zeros((every.shape[1], truth.shape[1])), np.empty(truth.shape[1])
    for at in range(truth.shape[1]):
        on = np.concatenate([truth[:, at], np.zeros(len(noise), bool)])
        if not on.any():
            # A fold that leaves out every source of the label.
            bias[at] = -60.0
            continue
        model = LogisticRegression(C=strength, max_iter=1000, random_state=seed)
        model.fit(exact, on, sample_weight=weight)
        weights[:, at] = model.coef_[0] / scale
        bias[at] = model.intercept_[0] - mean @ weights[:, at]
    return weights.astype(np.float32), bias.astype(np.float32)
