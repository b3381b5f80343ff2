"""Training a small network, epoch by epoch, each kept on disk: what is killed goes on where it was, to the same end."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training.pictures.network import Fitted, build, keras_on_torch, temperature, tensor
from training.pictures.vary import vary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.pictures.settings import Augment, Network

WARM_UP = 0.2
"""Share of the steps in which a one-cycle learning rate rises."""
Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True)
class Material:
    """What is learnt from, and what chooses the best epoch."""

    images: npt.NDArray[np.uint8]
    """(n, height, width, 3); may lie on disk."""
    labels: npt.NDArray[np.integer[Any]]
    train: npt.NDArray[np.int64]
    valid: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    """Of each class in the loss."""


@dataclass
class _State:
    """Everything that the next epoch depends on."""

    history: list[dict[str, float]] = field(default_factory=list)
    best: Arrays = field(default_factory=list)


def class_weights(labels: npt.NDArray[np.integer[Any]], classes: int) -> npt.NDArray[np.float32]:
    """Return weights by which every class counts alike: pictures / (classes x pictures of the class)."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).astype(np.float32)


def fit(
    network: Network,
    augment: Augment,
    material: Material,
    *,
    seed: int,
    kept: Path,
    progress: Callable[[int, int], None],
) -> Fitted:
    """Return the network as it was after the epoch of the lowest validation loss.

    kept: a file that holds the state after each epoch; found again, training goes on from it. Same seed, same network.
    """
    keras = keras_on_torch()
    _, height, width, _ = material.images.shape
    model = build(network, height=height, width=width, labels=len(material.weights), seed=seed)
    make = keras.optimizers.SGD if network.optimizer == "sgd" else keras.optimizers.AdamW
    extra = {"momentum": network.momentum} if network.optimizer == "sgd" else {"weight_decay": network.decay}
    optimizer = make(learning_rate=network.rate, **extra)
    optimizer.build(model.trainable_variables)
    state = _restore(kept, model, optimizer)
    for epoch in range(len(state.history), network.epochs):
        began = time.monotonic()
        loss = _epoch(model, optimizer, network, augment, material, seed=seed, epoch=epoch)
        seen = _look(model, material)
        before = state.history[-1]["seconds"] if state.history else 0.0
        if not state.history or seen["valid_loss"] < min(one["valid_loss"] for one in state.history):
            state.best = _numbers(model.weights)
        state.history.append({"loss": loss, **seen, "seconds": before + time.monotonic() - began})
        _keep(kept, model, optimizer, state)
        progress(epoch + 1, network.epochs)
    model.set_weights(state.best)
    logits = Fitted(model).logits(material.images, material.valid)
    return Fitted(model, temperature(logits, material.labels[material.valid]), state.history)


def best_epoch(history: list[dict[str, float]]) -> int:
    """Return the number, from 1, of the epoch with the lowest validation loss."""
    return int(np.argmin([one["valid_loss"] for one in history])) + 1


def _epoch(
    model: Any, optimizer: Any, network: Network, augment: Augment, material: Material, *, seed: int, epoch: int
) -> float:
    """Train one epoch, all of whose randomness comes from seed and epoch, and return its mean loss."""
    import torch
    from torch.nn import functional

    random = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    # Dropout draws from here.
    torch.manual_seed(seed * 1_000_003 + epoch)
    order = material.train[torch.randperm(len(material.train), generator=random).numpy()]
    weights = torch.from_numpy(material.weights)
    steps, losses = math.ceil(len(order) / network.batch), []
    for step in range(steps):
        # Sorted, because the rows lie on disk.
        rows = np.sort(order[step * network.batch : (step + 1) * network.batch])
        x = vary(tensor(material.images, rows), augment, random)
        y = torch.from_numpy(material.labels[rows].astype(np.int64))
        model.zero_grad()
        loss = functional.cross_entropy(model(x, training=True), y, weights, label_smoothing=network.smoothing)
        loss.backward()
        if network.schedule == "one-cycle":
            optimizer.learning_rate = network.rate * rise_and_fall((epoch * steps + step) / (network.epochs * steps))
        variables = model.trainable_weights
        with torch.no_grad():
            optimizer.apply([variable.value.grad for variable in variables], variables)
        losses.append(loss.item())
    return float(np.mean(losses))


def rise_and_fall(at: float) -> float:
    """Return the learning rate as a share of the highest, at a share of the training."""
    if at < WARM_UP:
        return (at + 0.01) / (WARM_UP + 0.01)
    return 0.5 + 0.5 * math.cos(math.pi * (at - WARM_UP) / (1 - WARM_UP))


def _look(model: Any, material: Material) -> dict[str, float]:
    import torch
    from torch.nn import functional

    logits = torch.from_numpy(Fitted(model).logits(material.images, material.valid))
    truth = torch.from_numpy(material.labels[material.valid].astype(np.int64))
    loss = functional.cross_entropy(logits, truth, torch.from_numpy(material.weights))
    return {"valid_loss": float(loss), "valid_accuracy": float((logits.argmax(1) == truth).float().mean())}


def _keep(kept: Path, model: Any, optimizer: Any, state: _State) -> None:
    """Write the state beside the file and rename it: a kill leaves the old one or the new one."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"history": np.array(json.dumps(state.history))}
    now, moments = _numbers(model.weights), _numbers(optimizer.variables)
    for name, values in (("now", now), ("moment", moments), ("best", state.best)):
        arrays |= {f"{name}{number}": value for number, value in enumerate(values)}
    draft = kept.with_suffix(f".draft-{os.getpid()}.npz")
    np.savez(draft, **arrays)
    draft.rename(kept)


def _restore(kept: Path, model: Any, optimizer: Any) -> _State:
    if not kept.is_file():
        return _State()
    with np.load(kept, allow_pickle=False) as arrays:
        values = {
            name: [arrays[f"{name}{number}"] for number in range(sum(key.startswith(name) for key in arrays))]
            for name in ("now", "moment", "best")
        }
        history = json.loads(str(arrays["history"]))
    model.set_weights(values["now"])
    for variable, value in zip(optimizer.variables, values["moment"], strict=True):
        variable.assign(value)
    return _State(history, values["best"])


def _numbers(variables: list[Any]) -> Arrays:
    return [np.array(variable.value.detach().numpy()) for variable in variables]
