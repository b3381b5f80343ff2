"""Teaching a known network new classes: the classifier first, then all of it, each part at its own rate."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training.pictures.learn import backbones
from training.pictures.learn.augment import augment_batch
from training.pictures.learn.fit import Diverged, epoch_metrics, one_cycle
from training.pictures.learn.network import keras_on_torch
from training.pictures.learn.transfer_settings import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.pictures.dataset.settings import Augment
    from training.pictures.learn.fit import TrainingData
    from training.pictures.learn.transfer_settings import Network, StageSettings

MOMENTUM = 0.9
SCORED = 64
"""Pictures scored at a time."""
EpochMetrics = dict[str, float]


@dataclass(frozen=True)
class TransferNetwork:
    """A backbone, its classifier, and their layers by part."""

    model: Any
    """From float pixels (n, height, width, 3), and facts (n, values) where there are some, to
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
    """Return the network: the backbone with its weights, metadata joined after the pooling, a classifier by chance.

    extra: values of the metadata. Raises RecipeError and MaterialError as `backbones.build` does.
    """
    keras = keras_on_torch()
    backbone = backbones.build(
        network.backbone, height=height, width=width, weights=network.weights, seed=seed
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
    """Return what the model takes of some rows."""
    import torch

    pixels = torch.from_numpy(np.asarray(material.images[rows])).float()
    return (
        [pixels, torch.from_numpy(material.facts[rows]).float()]
        if material.facts.shape[1]
        else pixels
    )


def reset(learner: TransferNetwork, parts: tuple[str, ...], network: Network, *, seed: int) -> None:
    """Give the layers of some parts weights by chance, as a network never trained has them."""
    import dataclasses

    if not parts:
        return
    fresh_network = dataclasses.replace(network, weights="none")
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
    tell: Callable[[list[EpochMetrics]], None],
) -> list[EpochMetrics]:
    """Train one stage, leave the network as it was at the lowest validation loss, and return a look at each epoch.

    checkpoint: a file that holds the state after each epoch; found again, the stage goes on from it to
    the same end. Raises Diverged when the loss is no longer a number.
    """
    optimizer = _optimizer(learner, stage)
    history, best = _load_checkpoint(checkpoint, learner, optimizer)
    while not _over(history, stage):
        epoch, began = len(history), time.monotonic()
        _unfreeze(learner, stage, frozen=epoch < stage.frozen)
        loss = _epoch(learner, optimizer, stage, augment, material, seed=seed, history=history)
        before = history[-1]["seconds"] if history else 0.0
        seen = epoch_metrics(loss, learner.logits(material, material.valid), material)
        if not math.isfinite(loss + seen["valid_loss"]):
            raise Diverged(
                f"the network diverges in epoch {epoch + 1} of a stage: lower {_rates(stage)}"
            )
        if not history or seen["valid_loss"] < min(one["valid_loss"] for one in history):
            best = [np.array(value) for value in learner.model.get_weights()]
        history = [*history, {**seen, "seconds": before + time.monotonic() - began}]
        _save_checkpoint(checkpoint, learner, optimizer, history, best)
        tell(history)
    learner.model.set_weights(best)
    return history


def epochs_since_best(history: list[EpochMetrics]) -> int:
    """Return how many epochs there were since the lowest validation loss."""
    if not history:
        return 0
    return len(history) - 1 - int(np.argmin([one["valid_loss"] for one in history]))


def halvings(history: list[EpochMetrics], plateau: int) -> int:
    """Return how often the rates were halved: after each `plateau` epochs in a row without a lower validation loss."""
    count, lowest, since = 0, math.inf, 0
    for one in history:
        since = 0 if one["valid_loss"] < lowest else since + 1
        lowest = min(lowest, one["valid_loss"])
        if since == plateau:
            count, since = count + 1, 0
    return count


def _rates(stage: StageSettings) -> str:
    return ", ".join(f"{part}={getattr(stage, part):g}" for part in PARTS if getattr(stage, part))


def _over(history: list[EpochMetrics], stage: StageSettings) -> bool:
    return len(history) >= stage.epochs or epochs_since_best(history) >= stage.patience


def _optimizer(learner: TransferNetwork, stage: StageSettings) -> Any:
    import torch

    for layers in learner.parts.values():
        for layer in layers:
            layer.trainable = True  # or their weights would not be told
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
    """Let the parts with a rate learn; while the backbone is frozen, its batch norms keep their statistics too."""
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
    """Train one epoch, all of whose randomness comes from seed and epoch, and return its mean loss."""
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
    """Set the rate of each part at a share of the stage."""
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


def _save_checkpoint(
    checkpoint: Path,
    learner: TransferNetwork,
    optimizer: Any,
    history: list[EpochMetrics],
    best: list[Any],
) -> None:
    """Write the state beside the file and rename it: a kill leaves the old one or the new one."""
    import torch

    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    draft = checkpoint.with_suffix(f".draft-{os.getpid()}")
    now = [torch.from_numpy(np.array(value)) for value in learner.model.get_weights()]
    kinds = {"now": now, "best": [torch.from_numpy(value) for value in best]}
    torch.save({**kinds, "optimizer": optimizer.state_dict(), "history": history}, draft)
    draft.replace(checkpoint)


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
