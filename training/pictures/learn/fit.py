"""Trains a small network; a checkpoint after each epoch makes the training resumable."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from common.atomic import atomic_file
from common.strict_json import to_json
from training.pictures.learn.augment import augment_batch
from training.pictures.learn.history import (
    Diverged,
    EpochMetrics,
    epochs_since_best,
    extended,
    is_lowest,
    one_cycle,
)
from training.pictures.learn.metrics import measure
from training.pictures.learn.network import (
    Fitted,
    build,
    keras_on_torch,
    softmax,
    temperature,
    tensor,
)
from training.reporting.training_run import LOOK

if TYPE_CHECKING:
    from pathlib import Path

    from training.common.progress import Progress
    from training.pictures.dataset.settings import Augment, Network

Arrays = list[npt.NDArray[Any]]


class Looks(NamedTuple):
    """The epochs after which more is measured on the validation part."""

    epochs: tuple[int, ...] = ()
    top: tuple[int, ...] = (1,)
    """The k of the top-k accuracies."""


NO_LOOKS = Looks()


@dataclass(frozen=True)
class TrainingData:
    """Pictures with labels, split into a training and a validation part."""

    images: npt.NDArray[np.uint8]
    """(n, height, width, 3); may be mapped from disk."""
    labels: npt.NDArray[np.integer[Any]]
    train: npt.NDArray[np.int64]
    """Rows to train on."""
    valid: npt.NDArray[np.int64]
    """Rows that choose the best epoch."""
    weights: npt.NDArray[np.float32]
    """Weight of each class in the loss."""
    facts: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """(n, values of the metadata)"""
    fields: tuple[int, ...] = ()
    """Values of each metadata field."""
    missing: float = 0.0
    """Share of training pictures shown without a field; above 0, both kinds are validated."""

    def without_facts(self) -> TrainingData:
        """Return the same pictures without metadata."""
        return replace(self, facts=np.zeros_like(self.facts))


@dataclass(frozen=True)
class _Run:
    """One training."""

    model: Any
    optimizer: Any
    network: Network
    augment: Augment
    material: TrainingData
    seed: int
    progress: Progress


@dataclass
class _State:
    """Everything that the next epoch depends on."""

    history: list[EpochMetrics] = field(default_factory=list)
    best: Arrays = field(default_factory=list)


def class_weights(
    labels: npt.NDArray[np.integer[Any]], classes: int, *, alike: bool = True
) -> npt.NDArray[np.float32]:
    """Return the weight of each class in the loss.

    alike: whether classes weigh alike: pictures / (classes x pictures of the class); else all 1.
    """
    if not alike:
        return np.ones(classes, np.float32)
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).astype(np.float32)


def fit(
    network: Network,
    augment: Augment,
    material: TrainingData,
    *,
    seed: int,
    checkpoint: Path,
    progress: Progress,
    looks: Looks = NO_LOOKS,
) -> Fitted:
    """Return the network as it was after the epoch of the lowest validation loss.

    checkpoint: a file that holds the state after each epoch; training resumes from it. The same
    seed gives the same network. progress: called with pictures done and in all. looks: what is
    measured besides. Raises Diverged when the loss is no longer a number.
    """
    run = _prepare(network, augment, material, seed=seed, progress=progress)
    state = _load_checkpoint(checkpoint, run.model, run.optimizer)
    while not _over(state.history, network):
        began = time.monotonic()
        epoch = len(state.history)
        loss = _epoch(run, epoch)
        logits = Fitted(run.model).logits(material.images, material.valid)
        metrics = epoch_metrics(loss, logits, material) | look(epoch + 1, looks, logits, material)
        if is_lowest(metrics, state.history):
            state.best = _numbers(run.model.weights)
        try:
            state.history = extended(state.history, metrics, began=began)
        except Diverged as error:
            raise Diverged(
                f"network {network.name!r} {error}: lower rate={network.rate:g}"
            ) from error
        _save_checkpoint(checkpoint, run.model, run.optimizer, state)
    run.model.set_weights(state.best)
    logits = Fitted(run.model).logits(material.images, material.valid)
    return Fitted(run.model, temperature(logits, material.labels[material.valid]), state.history)


def _over(history: list[EpochMetrics], network: Network) -> bool:
    patient = not network.patience or epochs_since_best(history) < network.patience
    return len(history) >= network.epochs or not patient


def _prepare(
    network: Network,
    augment: Augment,
    material: TrainingData,
    *,
    seed: int,
    progress: Progress,
) -> _Run:
    keras = keras_on_torch()
    _, height, width, _ = material.images.shape
    model = build(network, height=height, width=width, labels=len(material.weights), seed=seed)
    make = keras.optimizers.SGD if network.optimizer == "sgd" else keras.optimizers.AdamW
    extra = (
        {"momentum": network.momentum}
        if network.optimizer == "sgd"
        else {"weight_decay": network.decay}
    )
    optimizer = make(learning_rate=network.rate, **extra)
    optimizer.build(model.trainable_variables)
    return _Run(model, optimizer, network, augment, material, seed, progress)


def _epoch(run: _Run, epoch: int) -> float:
    """Train one epoch and return its mean loss; seed and epoch decide all that is random."""
    import torch

    material, size, epochs = run.material, run.network.batch, run.network.epochs
    random = torch.Generator().manual_seed(run.seed * 1_000_003 + epoch)
    # Dropout draws from here.
    torch.manual_seed(run.seed * 1_000_003 + epoch)
    order = material.train[torch.randperm(len(material.train), generator=random).numpy()]
    steps, losses = math.ceil(len(order) / size), []
    for start in range(0, len(order), size):
        # Sorted, because the rows may be mapped from disk.
        rows = np.sort(order[start : start + size])
        if run.network.schedule == "one-cycle":
            share = one_cycle((epoch * steps + start // size) / (epochs * steps))
            run.optimizer.learning_rate = run.network.rate * share
        x = augment_batch(tensor(material.images, rows), run.augment, random)
        losses.append(_step(run, x, material.labels[rows]))
        run.progress(epoch * len(order) + start + len(rows), epochs * len(order))
    return float(np.mean(losses))


def _step(run: _Run, x: Any, labels: npt.NDArray[np.integer[Any]]) -> float:
    """Train on one batch and return its loss."""
    import torch
    from torch.nn import functional

    y, weights = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(run.material.weights)
    run.model.zero_grad()
    loss = functional.cross_entropy(
        run.model(x, training=True), y, weights, label_smoothing=run.network.smoothing
    )
    loss.backward()
    variables = run.model.trainable_weights
    with torch.no_grad():
        run.optimizer.apply([variable.value.grad for variable in variables], variables)
    return float(loss.item())


def epoch_metrics(
    loss: float, logits: npt.NDArray[np.float32], material: TrainingData
) -> EpochMetrics:
    """Return loss, valid_loss and valid_accuracy of an epoch. logits: of the validation part."""
    import torch
    from torch.nn import functional

    found = torch.from_numpy(logits)
    truth = torch.from_numpy(material.labels[material.valid].astype(np.int64))
    valid_loss = functional.cross_entropy(found, truth, torch.from_numpy(material.weights))
    right = (found.argmax(1) == truth).float().mean()
    return {"loss": loss, "valid_loss": float(valid_loss), "valid_accuracy": float(right)}


def look(
    epoch: int, looks: Looks, logits: npt.NDArray[np.float32], material: TrainingData
) -> EpochMetrics:
    """Return look_top1, look_topK and look_macro_f1 after an epoch to look at, else nothing."""
    if epoch not in looks.epochs:
        return {}
    truth = material.labels[material.valid]
    found = measure(softmax(logits), truth, top=sorted({1, *looks.top}))
    return {
        f"{LOOK}{key}": value
        for key, value in found.items()
        if key.startswith("top") or key == "macro_f1"
    }


def _save_checkpoint(checkpoint: Path, model: Any, optimizer: Any, state: _State) -> None:
    arrays: dict[str, Any] = {"history": np.array(to_json(state.history))}
    now, moments = _numbers(model.weights), _numbers(optimizer.variables)
    for name, values in (("now", now), ("moment", moments), ("best", state.best)):
        arrays |= {f"{name}{number}": value for number, value in enumerate(values)}
    with atomic_file(checkpoint) as draft:
        np.savez(draft, **arrays)


def _load_checkpoint(checkpoint: Path, model: Any, optimizer: Any) -> _State:
    if not checkpoint.is_file():
        return _State()
    with np.load(checkpoint, allow_pickle=False) as arrays:
        values = {
            name: [
                arrays[f"{name}{number}"]
                for number in range(sum(key.startswith(name) for key in arrays))
            ]
            for name in ("now", "moment", "best")
        }
        history = json.loads(str(arrays["history"]))
    model.set_weights(values["now"])
    for variable, value in zip(optimizer.variables, values["moment"], strict=True):
        variable.assign(value)
    return _State(history, values["best"])


def _numbers(variables: list[Any]) -> Arrays:
    return [np.array(variable.value.detach().numpy()) for variable in variables]
