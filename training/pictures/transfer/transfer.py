"""Transfer learning: trains the classifier first, then all parts, each at its own rate."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from common.atomic import atomic_file
from training.pictures.learn import backbones
from training.pictures.learn.augment import augment_batch
from training.pictures.learn.fit import NO_LOOKS, Looks, epoch_metrics, look
from training.pictures.learn.history import (
    Diverged,
    EpochMetrics,
    epochs_since_best,
    extended,
    halvings,
    is_lowest,
    one_cycle,
)
from training.pictures.learn.network import keras_on_torch
from training.pictures.transfer.transfer_settings import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.pictures.dataset.settings import Augment
    from training.pictures.learn.fit import TrainingData
    from training.pictures.transfer.transfer_settings import Network, StageSettings

MOMENTUM = 0.9
SCORED = 64
"""Pictures scored at a time."""


@dataclass(frozen=True)
class TransferNetwork:
    """A backbone, its classifier, and their layers by part."""

    model: Any
    """The network from float pixels (n, height, width, 3), and with metadata facts (n, values), to
    logits (n, labels)."""
    backbone: Any
    parts: dict[str, list[Any]]

    def logits(
        self, material: TrainingData, rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Return logits (rows, labels)."""
        import torch

        found = [np.zeros((0, self.model.output_shape[1]), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(rows), SCORED):
                some = rows[start : start + SCORED]
                found.append(self.model(inputs(material, some), training=False).numpy())
        return np.concatenate(found)


def build(
    network: Network, *, height: int, width: int, labels: int, extra: int, seed: int
) -> TransferNetwork:
    """Return the backbone with its weights and a classifier with random weights.

    extra: values of the metadata, which join the pooled vector. Raises RecipeError and
    MaterialError as `backbones.build` does.
    """
    keras = keras_on_torch()
    backbone = backbones.build(
        network.backbone,
        height=height,
        width=width,
        weights=network.weights,
        seed=seed,
        pooling=network.pooling,
    )
    pixels = keras.Input((height, width, 3), name="pixels")
    x, takes = backbone(pixels), [pixels]
    if extra:
        takes.append(keras.Input((extra,), name="facts"))
        x = keras.layers.Concatenate()([x, takes[1]])
    layers = [keras.layers.Dense(units, activation="relu") for units in network.dense]
    layers += [keras.layers.Dropout(network.dropout), keras.layers.Dense(labels)]
    for layer in layers:
        x = layer(x)
    model = keras.Model(takes if extra else pixels, x)
    parts = backbones.groups(backbone) | {
        "classifier": [layer for layer in layers if layer.weights]
    }
    return TransferNetwork(model, backbone, parts)


def inputs(material: TrainingData, rows: npt.NDArray[np.int64]) -> Any:
    """Return the input of the model for some rows."""
    import torch

    pixels = torch.from_numpy(np.asarray(material.images[rows])).float()
    return (
        [pixels, torch.from_numpy(material.facts[rows]).float()]
        if material.facts.shape[1]
        else pixels
    )


def reset(learner: TransferNetwork, parts: tuple[str, ...], network: Network, *, seed: int) -> None:
    """Give the layers of some parts random weights, as in an untrained network."""
    if not parts:
        return
    fresh_network = replace(network, weights="none")
    *_, height, width, _ = learner.backbone.input_shape
    takes = learner.model.inputs
    extra = takes[1].shape[1] if len(takes) > 1 else 0
    labels = learner.model.output_shape[1]
    fresh = build(fresh_network, height=height, width=width, labels=labels, extra=extra, seed=seed)
    for part in parts:
        for layer, new in zip(learner.parts[part], fresh.parts[part], strict=True):
            layer.set_weights(new.get_weights())


def train(
    learner: TransferNetwork,
    stage: StageSettings,
    augment: Augment,
    material: TrainingData,
    *,
    seed: int,
    checkpoint: Path,
    report: Callable[[list[EpochMetrics]], None],
    looks: Looks = NO_LOOKS,
) -> list[EpochMetrics]:
    """Train one stage and return its history; the network keeps its best weights.

    The best are those of the lowest validation loss. checkpoint: a file that holds the state after
    each epoch; the stage resumes from it. report: called with the history after each epoch. looks:
    what is measured besides. Raises Diverged when the loss is no longer a number.
    """
    optimizer = _optimizer(learner, stage)
    history, best = _load_checkpoint(checkpoint, learner, optimizer)
    while not _over(history, stage):
        epoch, began = len(history), time.monotonic()
        _unfreeze(learner, stage, frozen=epoch < stage.frozen)
        loss = _epoch(learner, optimizer, stage, augment, material, seed=seed, history=history)
        metrics = _validated(learner, material, loss, epoch + 1, looks)
        if is_lowest(metrics, history):
            best = [np.array(value) for value in learner.model.get_weights()]
        try:
            history = extended(history, metrics, began=began)
        except Diverged as error:
            raise Diverged(f"the network {error} of a stage: lower {_rates(stage)}") from error
        _save_checkpoint(checkpoint, learner, optimizer, history, best)
        report(history)
    learner.model.set_weights(best)
    return history


def _validated(
    learner: TransferNetwork, material: TrainingData, loss: float, epoch: int, looks: Looks
) -> EpochMetrics:
    """Return the metrics of an epoch: means over pictures with and without optional metadata."""
    found = []
    for kind in [material, material.without_facts()] if material.missing else [material]:
        logits = learner.logits(kind, kind.valid)
        found.append(epoch_metrics(loss, logits, kind) | look(epoch, looks, logits, kind))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def _rates(stage: StageSettings) -> str:
    return ", ".join(f"{part}={getattr(stage, part):g}" for part in PARTS if getattr(stage, part))


def _over(history: list[EpochMetrics], stage: StageSettings) -> bool:
    return len(history) >= stage.epochs or epochs_since_best(history) >= stage.patience


def _optimizer(learner: TransferNetwork, stage: StageSettings) -> Any:
    import torch

    for layers in learner.parts.values():
        for layer in layers:
            layer.trainable = True  # frozen layers do not list their weights
    groups = [
        {
            "params": [w.value for layer in learner.parts[part] for w in layer.trainable_weights],
            "part": part,
        }
        for part in PARTS
        if getattr(stage, part) and learner.parts[part]
    ]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM)
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=0.01)


def _unfreeze(learner: TransferNetwork, stage: StageSettings, *, frozen: bool) -> None:
    """Make the parts with a rate trainable; frozen batch norms keep their statistics."""
    for part in PARTS:
        learns = bool(getattr(stage, part)) and not (frozen and part != "classifier")
        for layer in learner.parts[part]:
            layer.trainable = learns


def _epoch(
    learner: TransferNetwork,
    optimizer: Any,
    stage: StageSettings,
    augment: Augment,
    material: TrainingData,
    *,
    seed: int,
    history: list[EpochMetrics],
) -> float:
    """Train one epoch and return its mean loss; seed and epoch decide all that is random."""
    import torch
    from torch.nn import functional

    epoch = len(history)
    random = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    torch.manual_seed(seed * 1_000_003 + epoch)  # dropout draws from here
    order = material.train[torch.randperm(len(material.train), generator=random).numpy()]
    weights, losses = torch.from_numpy(material.weights), []
    steps = math.ceil(len(order) / stage.batch)
    for step in range(steps):
        _set_rates(optimizer, stage, history, at=(epoch * steps + step) / (stage.epochs * steps))
        rows = np.sort(order[step * stage.batch : (step + 1) * stage.batch])
        x = _augmented(inputs(material, rows), augment, random)
        if material.missing:
            x = [x[0], _with_gaps(x[1], material, random)]
        truth = torch.from_numpy(material.labels[rows].astype(np.int64))
        optimizer.zero_grad()
        loss = functional.cross_entropy(learner.model(x, training=True), truth, weights)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _set_rates(
    optimizer: Any, stage: StageSettings, history: list[EpochMetrics], *, at: float
) -> None:
    """Set the rate of each part. at: share of the stage that is done."""
    share = one_cycle(at) if stage.one_cycle else 1.0
    for group in optimizer.param_groups:
        group["lr"] = (
            getattr(stage, group["part"]) * share * 0.5 ** halvings(history, stage.plateau)
        )


def _augmented(x: Any, augment: Augment, random: Any) -> Any:
    pixels, *rest = x if isinstance(x, list) else [x]
    pixels = (
        augment_batch(pixels.permute(0, 3, 1, 2), augment, random).permute(0, 2, 3, 1).contiguous()
    )
    return [pixels, *rest] if rest else pixels


def _with_gaps(facts: Any, material: TrainingData, random: Any) -> Any:
    """Return facts (n, values) in which a share of the fields is missing: all 0."""
    import torch

    known = torch.rand((len(facts), len(material.fields)), generator=random) >= material.missing
    return facts * known.repeat_interleave(torch.tensor(material.fields), dim=1)


def _save_checkpoint(
    checkpoint: Path,
    learner: TransferNetwork,
    optimizer: Any,
    history: list[EpochMetrics],
    best: list[Any],
) -> None:
    import torch

    now = [torch.from_numpy(np.array(value)) for value in learner.model.get_weights()]
    kinds = {"now": now, "best": [torch.from_numpy(value) for value in best]}
    with atomic_file(checkpoint) as draft:
        torch.save({**kinds, "optimizer": optimizer.state_dict(), "history": history}, draft)


def _load_checkpoint(
    checkpoint: Path, learner: TransferNetwork, optimizer: Any
) -> tuple[list[EpochMetrics], list[Any]]:
    import torch

    if not checkpoint.is_file():
        return [], []
    state = torch.load(checkpoint, weights_only=True)
    learner.model.set_weights([value.numpy() for value in state["now"]])
    optimizer.load_state_dict(state["optimizer"])
    return state["history"], [value.numpy() for value in state["best"]]
