"""Trains a small network; a checkpoint after each epoch makes the training resumable."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training.common.recipe import RecipeError
from training.pictures.learn.augment import augment_batch
from training.pictures.learn.network import Fitted, build, keras_on_torch, temperature, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from training.pictures.dataset.settings import Augment, Network

WARM_UP = 0.2
"""Share of the steps in which a one-cycle learning rate rises."""
Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True)
class TrainingData:
    """What is learnt from, and what chooses the best epoch."""

    images: npt.NDArray[np.uint8]
    """(n, height, width, 3); may lie on disk."""
    labels: npt.NDArray[np.integer[Any]]
    train: npt.NDArray[np.int64]
    valid: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    """Of each class in the loss."""
    facts: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """(n, values of the metadata)"""


class Diverged(RecipeError):
    """The loss is no longer a number."""

    title = "Diverged"


@dataclass(frozen=True)
class _Run:
    """A training under way."""

    model: Any
    optimizer: Any
    network: Network
    augment: Augment
    material: TrainingData
    seed: int
    progress: Callable[[int, int], None]


@dataclass
class _State:
    """Everything that the next epoch depends on."""

    history: list[dict[str, float]] = field(default_factory=list)
    best: Arrays = field(default_factory=list)


def class_weights(
    labels: npt.NDArray[np.integer[Any]], classes: int, *, alike: bool = True
) -> npt.NDArray[np.float32]:
    """Return weights by which every class counts alike: pictures / (classes x pictures of the class); or all 1."""
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
    progress: Callable[[int, int], None],
) -> Fitted:
    """Return the network as it was after the epoch of the lowest validation loss.

    checkpoint: a file that holds the state after each epoch; found again, training goes on from it. Same
    seed, same network. progress: is told pictures done and in all. Raises Diverged when the loss is
    no longer a number.
    """
    work = _prepare(network, augment, material, seed=seed, progress=progress)
    state = _load_checkpoint(checkpoint, work.model, work.optimizer)
    for epoch in range(len(state.history), network.epochs):
        began = time.monotonic()
        loss = _epoch(work, epoch)
        seen = epoch_metrics(
            loss, Fitted(work.model).logits(material.images, material.valid), material
        )
        if not math.isfinite(loss + seen["valid_loss"]):
            raise Diverged(
                f"network {network.name!r} diverges in epoch {epoch + 1}: lower rate={network.rate:g}"
            )
        before = state.history[-1]["seconds"] if state.history else 0.0
        if not state.history or seen["valid_loss"] < min(
            one["valid_loss"] for one in state.history
        ):
            state.best = _numbers(work.model.weights)
        state.history.append({**seen, "seconds": before + time.monotonic() - began})
        _save_checkpoint(checkpoint, work.model, work.optimizer, state)
    work.model.set_weights(state.best)
    logits = Fitted(work.model).logits(material.images, material.valid)
    return Fitted(work.model, temperature(logits, material.labels[material.valid]), state.history)


def _prepare(
    network: Network,
    augment: Augment,
    material: TrainingData,
    *,
    seed: int,
    progress: Callable[[int, int], None],
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


def best_epoch(history: list[dict[str, float]]) -> int:
    """Return the number, from 1, of the epoch with the lowest validation loss."""
    return int(np.argmin([one["valid_loss"] for one in history])) + 1


def _epoch(work: _Run, epoch: int) -> float:
    """Train one epoch, all of whose randomness comes from seed and epoch, and return its mean loss."""
    import torch

    material, size, epochs = work.material, work.network.batch, work.network.epochs
    random = torch.Generator().manual_seed(work.seed * 1_000_003 + epoch)
    # Dropout draws from here.
    torch.manual_seed(work.seed * 1_000_003 + epoch)
    order = material.train[torch.randperm(len(material.train), generator=random).numpy()]
    steps, losses = math.ceil(len(order) / size), []
    for start in range(0, len(order), size):
        # Sorted, because the rows lie on disk.
        rows = np.sort(order[start : start + size])
        if work.network.schedule == "one-cycle":
            share = one_cycle((epoch * steps + start // size) / (epochs * steps))
            work.optimizer.learning_rate = work.network.rate * share
        x = augment_batch(tensor(material.images, rows), work.augment, random)
        losses.append(_step(work, x, material.labels[rows]))
        work.progress(epoch * len(order) + start + len(rows), epochs * len(order))
    return float(np.mean(losses))


def _step(work: _Run, x: Any, labels: npt.NDArray[np.integer[Any]]) -> float:
    """Learn from one batch and return its loss."""
    import torch
    from torch.nn import functional

    y, weights = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(work.material.weights)
    work.model.zero_grad()
    loss = functional.cross_entropy(
        work.model(x, training=True), y, weights, label_smoothing=work.network.smoothing
    )
    loss.backward()
    variables = work.model.trainable_weights
    with torch.no_grad():
        work.optimizer.apply([variable.value.grad for variable in variables], variables)
    return float(loss.item())


def one_cycle(at: float) -> float:
    """Return the learning rate as a share of the highest, at a share of the training."""
    if at < WARM_UP:
        return (at + 0.01) / (WARM_UP + 0.01)
    return 0.5 + 0.5 * math.cos(math.pi * (at - WARM_UP) / (1 - WARM_UP))


def epoch_metrics(
    loss: float, logits: npt.NDArray[np.float32], material: TrainingData
) -> dict[str, float]:
    """Return loss, valid_loss and valid_accuracy after an epoch. logits: of the validation part."""
    import torch
    from torch.nn import functional

    found, truth = (
        torch.from_numpy(logits),
        torch.from_numpy(material.labels[material.valid].astype(np.int64)),
    )
    valid_loss = functional.cross_entropy(found, truth, torch.from_numpy(material.weights))
    right = (found.argmax(1) == truth).float().mean()
    return {"loss": loss, "valid_loss": float(valid_loss), "valid_accuracy": float(right)}


def remove_checkpoints(checkpoint: Iterable[Path]) -> None:
    """Remove the states of trainings, and what a kill in the middle of writing them left."""
    for file in checkpoint:
        for left in file.parent.glob(f"{file.stem}.*"):
            left.unlink()


def _save_checkpoint(checkpoint: Path, model: Any, optimizer: Any, state: _State) -> None:
    """Write the state beside the file and rename it: a kill leaves the old one or the new one."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"history": np.array(json.dumps(state.history))}
    now, moments = _numbers(model.weights), _numbers(optimizer.variables)
    for name, values in (("now", now), ("moment", moments), ("best", state.best)):
        arrays |= {f"{name}{number}": value for number, value in enumerate(values)}
    draft = checkpoint.with_suffix(f".draft-{os.getpid()}.npz")
    np.savez(draft, **arrays)
    draft.rename(checkpoint)


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
