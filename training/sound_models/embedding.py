"""A network given by path, frozen: a small model on its embeddings, both in one graph.

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
from features.extract import extract_many
from models.promote import quiet_windows
from models.session import Session
from training.common.errors import MaterialError
from training.sound_models.embedding_heads import (
    FEW,
    TRIVIAL,
    Choice,
    Head,
    Material,
    choose,
    fit_head,
)
from training.sound_models.given_network import known, read_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from features.config import Kind, Samples
    from training.evaluation.leave_one_out import HistoryEntry
    from training.evaluation.metrics import Mask, Scores

    Array = npt.NDArray[np.float32]

OUTPUT = "embedding"
BATCH = 16
NOISES = 300
"""Windows of generated noise and silence that are learnt to have no label."""
NOISE_SEED = 3
"""Other windows than those that thresholds and the promotion check have."""


@dataclass(frozen=True)
class Backbone:
    """A network from windows to embeddings."""

    graph: bytes
    """ONNX, from an input named after `kind` to `embedding` (n, numbers)."""
    name: str
    session: Session
    kind: Kind = "samples"
    """What it takes of a window: its samples, (n, window), or their log-mel spectrogram, (n, bands,
    frames)."""

    def of_samples(self, windows: Sequence[Samples], config: AudioConfig) -> Array:
        """Return the embeddings (n, numbers) of windows of sound. Raises MaterialError."""
        return self(extract_many(windows, kind=self.kind, config=config))

    def __call__(self, tensors: npt.NDArray[Any]) -> Array:
        """Return the embeddings (n, numbers) of what it takes. Raises MaterialError."""
        try:
            found = [
                self.session.predict(np.asarray(tensors[at : at + BATCH], np.float32))
                for at in range(0, len(tensors), BATCH)
            ]
        except (ArtefactError, Unprocessable) as error:
            raise MaterialError(f"{self.name} cannot be run: {error}") from error
        rows = np.concatenate(found)
        if rows.ndim != 2 or len(rows) != len(tensors):
            raise MaterialError(
                f"{self.name} gave embeddings of {rows.shape} for {len(tensors)} windows; they "
                "must be (n, numbers)"
            )
        if not np.isfinite(rows).all():
            count = int((~np.isfinite(rows).all(axis=1)).sum())
            raise MaterialError(
                f"{self.name} gave embeddings of {rows.shape} for {len(tensors):,} windows, "
                f"{count:,} of them infinite or not a number"
            )
        return rows


def open_backbone(path: Path, *, window: int) -> Backbone:
    """Return the part of a network from its input to its embedding.

    It has one input, float32, of the samples (n, window) or of Timbre's log-mel spectrogram (n,
    bands, frames) of a window, and an output `embedding`, or only one output. window: samples at
    22,050 Hz. Raises MaterialError for a file that is no such network.
    """
    import onnx

    model = read_network(path)
    inputs, outputs = list(model.graph.input), [one.name for one in model.graph.output]
    output = OUTPUT if OUTPUT in outputs else outputs[0] if len(outputs) == 1 else ""
    if len(inputs) != 1 or not output:
        raise MaterialError(
            f"{path} takes {_listed(one.name for one in inputs)} and gives {_listed(outputs)}; a "
            f"backbone takes one tensor of samples and gives one of the name {OUTPUT!r}, or only "
            "one"
        )
    kind, shape = _taken(path, inputs[0], AudioConfig(window=window))
    part = onnx.utils.Extractor(model).extract_model([inputs[0].name], [output])
    for size, axis in zip(shape, part.graph.input[0].type.tensor_type.shape.dim[1:], strict=True):
        axis.dim_value = size
    graph = _renamed(part, {inputs[0].name: kind, output: OUTPUT}).SerializeToString()
    try:
        return Backbone(graph, path.name, Session(graph, accelerate=False), kind)
    except ArtefactError as error:
        raise MaterialError(f"{path} cannot be run: {error}") from error


def kind_of(path: Path) -> Kind:
    """Return what a network takes, by the axes of its input. Raises MaterialError for no network.

    `samples` also for one that takes something else, which `open_backbone` rejects.
    """
    inputs = read_network(path, weights=False).graph.input
    axes = [len(one.type.tensor_type.shape.dim) for one in inputs]
    return "log_mel" if axes == [3] else "samples"


def _taken(path: Path, given: Any, config: AudioConfig) -> tuple[Kind, tuple[int, ...]]:
    """Return what an input takes of a window, and the shape of that. Raises MaterialError."""
    axes = [one.dim_value or 0 for one in given.type.tensor_type.shape.dim]
    kind: Kind = "log_mel" if len(axes) == 3 else "samples"
    wanted = config.shape(kind)
    if len(axes) != 1 + len(wanted) or any(
        axis not in {0, size} for axis, size in zip(axes[1:], wanted, strict=True)
    ):
        raise MaterialError(
            f"{path} takes {given.name} of {tuple(axes)} (0: any); a backbone takes "
            f"(n, {config.window}), the samples of a window at 22,050 Hz (windows.length), or "
            f"(n, {', '.join(map(str, config.shape('log_mel')))}), its log-mel spectrogram"
        )
    return kind, wanted


def check_backbone(path: Path, *, window: int) -> None:
    """Raise MaterialError for a file that is no backbone, or one that cannot take silence."""
    backbone = open_backbone(path, window=window)
    try:
        backbone.of_samples([np.zeros(window, np.float32)], AudioConfig(window=window))
    except MaterialError as error:
        raise MaterialError(
            f"{path} cannot take silence, which is learnt to have no label: {error}; a network "
            "that divides by the level of its samples needs a small number in the divisor"
        ) from error


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


@dataclass(frozen=True)
class FittedEmbedding:
    """A small model on embeddings, after the network that gives them."""

    backbone: Backbone
    head: Head
    choice: Choice
    """What the head is."""
    fewest: int
    """Recordings of the label that has the fewest."""
    tried: dict[str, float]
    """By choice: mean cross-entropy on sources left out; empty where there is one source."""
    history: list[HistoryEntry] = field(default_factory=list)
    """Empty: it learns in one step."""

    def scores(self, tensors: npt.NDArray[Any]) -> Scores:
        """Return P(label), (n, labels), of what the network takes of n windows."""
        return self.of(self.backbone(tensors))

    def of(self, embeddings: Array) -> Scores:
        """Return P(label), (n, labels), of embeddings (n, numbers)."""
        return self.head.scores(embeddings)

    @property
    def why(self) -> str:
        """How the head was chosen, as people are told."""
        return self._told(self.tried)

    @property
    def summary(self) -> str:
        """The same with two losses: that of the head, and that of each label's share."""
        return self._told(
            {name: loss for name, loss in self.tried.items() if name in {str(self.choice), TRIVIAL}}
        )

    def _told(self, losses: dict[str, float]) -> str:
        recordings = f"{self.fewest} recording{'s' * (self.fewest != 1)}"
        few = f"; the rarest label has {recordings}" if self.fewest <= FEW else ""
        if not losses:
            return f"{self.choice}, untested, for no label has two sources{few}"
        listed = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        return f"{self.choice}{few}; cross-entropy on sources left out: {listed}"

    def onnx(self, config: AudioConfig = DEFAULT) -> bytes:
        """Return both as one graph, from what the network takes to `scores`."""
        del config
        import onnx
        from onnx import helper, numpy_helper

        model = onnx.load_from_string(self.backbone.graph)
        graph, value = model.graph, OUTPUT
        for number, layer in enumerate(self.head.layers):
            names = [f"timbre_{what}_{number}" for what in ("weights", "bias")]
            graph.initializer.extend(map(numpy_helper.from_array, layer, names))
            if number:
                graph.node.append(helper.make_node("Relu", [value], [f"timbre_relu_{number}"]))
                value = f"timbre_relu_{number}"
            graph.node.append(
                helper.make_node("Gemm", [value, *names], [f"timbre_logits_{number}"])
            )
            value = f"timbre_logits_{number}"
        graph.node.append(helper.make_node("Sigmoid", [value], ["scores"]))
        labels = len(self.head.layers[-1][1])
        del graph.output[:]
        scores = helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", labels])
        graph.output.append(scores)
        content: bytes = model.SerializeToString()
        return content


def fit(
    path: Path,
    windows: npt.NDArray[Any],
    labels: Mask,
    rows: npt.NDArray[np.int64],
    groups: npt.NDArray[np.integer[Any]],
    recordings: npt.NDArray[np.integer[Any]],
    *,
    config: AudioConfig,
    seed: int,
    kept: Path,
    others: Sequence[Samples] = (),
    copies: Mask | None = None,
) -> FittedEmbedding:
    """Return the best small model on the embeddings of some windows.

    windows: what the network takes (`kind_of`) of the whole table. groups, recordings: the source
    and the recording of each. kept: folder of embeddings, by the content of the windows and of the
    network. others: windows of sounds without a label, beside generated noise. copies: which
    windows of the table are augmented copies, that heads learn from and are not compared on. Raises
    MaterialError for a file that is no backbone.
    """
    from threadpoolctl import threadpool_limits

    backbone = open_backbone(path, window=config.window)
    name = f"{_content(windows, rows)}-{known(path)}.npy"
    found = _embeddings(backbone, windows, rows, kept / name)
    quiet = [*quiet_windows(config, NOISES, seed=NOISE_SEED), *others]
    noise = backbone.of_samples(quiet, config)
    augmented = None if copies is None else copies[rows]
    material = Material(found, labels[rows], groups[rows], recordings[rows], noise, augmented)
    # For matrices this small, a second thread takes ten times as long as it saves.
    with threadpool_limits(1):
        choice, tried = choose(material, seed)
        head = fit_head(choice, material, seed)
    return FittedEmbedding(backbone, head, choice, material.fewest, tried)


def _content(windows: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> str:
    """Return 16 hex digits of the tensors of some windows."""
    found = hashlib.sha256()
    for at in range(0, len(rows), BATCH):
        found.update(windows[rows[at : at + BATCH]].tobytes())
    return found.hexdigest()[:16]


def _embeddings(
    backbone: Backbone, windows: npt.NDArray[Any], rows: npt.NDArray[np.int64], kept: Path
) -> Array:
    found = _read(kept, len(rows))
    if found is not None:
        return found
    parts = (rows[at : at + BATCH] for at in range(0, len(rows), BATCH))
    found = np.concatenate([backbone(np.asarray(windows[part])) for part in parts])
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(kept) as draft, draft.open("wb") as file:
        np.save(file, found)
    return found


def _read(kept: Path, rows: int) -> Array | None:
    """Return embeddings that are kept; None where they are not there, or not whole."""
    try:
        found: Array = np.load(kept)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 2 and len(found) == rows else None
