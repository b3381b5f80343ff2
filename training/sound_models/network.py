"""A small convolutional network on the log-mel spectrogram, trained with torch.

Level does not matter to it: the first thing the graph does is to set the loudest point of a window
to 0 dB and to cut `depth_db` below. Augmentation on the spectrogram (random smooth tilts,
shifts and masks) simulates microphones, rooms and tunings that the material does not have.
`training.sound_models.network_onnx` writes it as ONNX.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from features.config import DEFAULT, AudioConfig
from training.evaluation.leave_one_out import held_out_metrics
from training.sound_models import network_cache, network_start
from training.sound_models.network_onnx import export
from training.sound_models.spectrogram_net import Spectrogram

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from training.common.model_settings import Network
    from training.evaluation.leave_one_out import HeldOut, HistoryEntry
    from training.evaluation.metrics import Mask, Scores

WARM_UP = 0.2
"""Share of the steps in which the learning rate rises."""
TILT_POINTS = 8
START_ROWS = 512
"""Windows that show what the layers of a network to go on from give."""
NEPER = np.float32(np.log(10) / 10)
"""Natural logarithm of the power of 1 dB."""


@dataclass(frozen=True)
class FittedNetwork:
    """Trained networks whose scores are averaged."""

    members: list[Spectrogram]
    history: list[HistoryEntry]
    """One entry an epoch, averaged over the members."""

    def scores(self, spectrograms: npt.NDArray[Any]) -> Scores:
        """Return the mean score of the members, (n, labels), of spectrograms (n, bands, frames)."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(spectrograms), 256):
                x = torch.from_numpy(np.asarray(spectrograms[start : start + 256], np.float32))
                parts.append(
                    torch.stack([member.scores(x) for member in self.members]).mean(0).numpy()
                )
        return np.concatenate(parts)

    def onnx(self, config: AudioConfig = DEFAULT) -> bytes:
        """Return all members as one graph."""
        bands, frames = config.shape("log_mel")
        return export(self.members, bands=bands, frames=frames)


def fit(
    spectrograms: npt.NDArray[Any],
    labels: Mask,
    rows: npt.NDArray[np.int64],
    settings: Network,
    *,
    seed: int,
    held_out: HeldOut | None = None,
    kept: Path | None = None,
    soft: Scores | None = None,
    start: bytes = b"",
) -> FittedNetwork:
    """Return an ensemble of `members` networks and its history, averaged over them.

    spectrograms: (n, bands, frames) in dB, may be a memory map. labels: bool (n, labels). rows:
    those to train on. held_out: windows for the history alone. kept: a folder for networks of
    these spectrograms alone: a finished network is stored there and not trained again. soft:
    targets in [0, 1], (n, labels), to learn instead of the labels. start: a graph of `onnx`, whose
    networks the members go on from, in turn. Raises MaterialError where those have other layers.
    """
    if settings.rows:
        rows = np.random.default_rng(seed).permutation(rows)[: settings.rows]
    common = _Common(spectrograms, labels, labels if soft is None else soft, rows, settings, start)
    seeds = [seed + 1000 * number for number in range(settings.members)]
    trained = [
        _fit_once(kept, common, number, seed=one, held_out=held_out)
        for number, one in enumerate(seeds)
    ]
    epochs = zip(*(history for _, history in trained), strict=True)
    history = [
        {key: float(np.mean([one[key] for one in epoch])) for key in epoch[0]} for epoch in epochs
    ]
    return FittedNetwork([member for member, _ in trained], history)


class _Common(NamedTuple):
    """What all members learn from."""

    spectrograms: npt.NDArray[Any]
    labels: Mask
    soft: Mask | Scores
    rows: npt.NDArray[np.int64]
    settings: Network
    start: bytes

    def network(self, number: int) -> Spectrogram:
        """Return member `number` before the training."""
        bands, labels = self.spectrograms.shape[1], self.labels.shape[1]
        if self.start:
            some = np.sort(self.rows[:: -(-len(self.rows) // START_ROWS)])
            typical = torch.from_numpy(np.asarray(self.spectrograms[some], np.float32))
            return network_start.read(self.start, number, self.settings, typical, labels=labels)
        return Spectrogram(self.settings, bands=bands, labels=labels)

    def other(self) -> tuple[bytes, ...]:
        """Return what else tells these networks from those of the labels alone."""
        soft = () if self.soft is self.labels else (self.soft[self.rows].tobytes(),)
        return (*soft, self.start) if self.start else soft


def _fit_once(
    kept: Path | None, common: _Common, number: int, *, seed: int, held_out: HeldOut | None
) -> tuple[Spectrogram, list[HistoryEntry]]:
    path = kept and kept / network_cache.name(
        common.spectrograms.shape,
        common.labels,
        common.rows,
        common.settings,
        seed=seed,
        held_out=held_out,
        other=common.other(),
    )
    if path and path.is_file():
        weights, history = network_cache.read(path)
        network = common._replace(start=b"").network(number)
        network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        return network.eval(), history
    network, history = _fit_one(common, number, seed=seed, held_out=held_out)
    if path:
        network_cache.write(
            path, {key: value.numpy() for key, value in network.state_dict().items()}, history
        )
    return network, history


def _fit_one(
    common: _Common, number: int, *, seed: int, held_out: HeldOut | None
) -> tuple[Spectrogram, list[HistoryEntry]]:
    rows, settings = common.rows, common.settings
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = common.network(number).to(memory_format=torch.channels_last)
    size = min(settings.batch, len(rows))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.decay
    )
    steps = settings.epochs * (len(rows) // size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_of, steps=steps))
    history = []
    for _ in range(settings.epochs):
        order = rng.permutation(rows)[: len(rows) // size * size].reshape(-1, size)
        batches = (_batch(common, some, rng) for some in order)
        loss = float(
            np.mean([_learn(network, optimizer, schedule, *batch, settings) for batch in batches])
        )
        seen = (
            held_out_metrics(FittedNetwork([network.eval()], []).scores(held_out[0]), held_out[1])
            if held_out
            else {}
        )
        history.append({"loss": loss, **seen})
    return network.eval(), history


def rate_of(step: int, *, steps: int) -> float:
    """Return the learning rate as a share of the highest: linear warm-up, then cosine decay."""
    rise = WARM_UP * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / (steps - rise))


def _batch(
    common: _Common, rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    # Sorted, because the rows are read from disk.
    some, settings = np.sort(rows), common.settings
    both = np.concatenate([common.labels[some], common.soft[some]], axis=1, dtype=np.float32)
    x, both = mixup(np.asarray(common.spectrograms[some], np.float32), both, settings, rng)
    on, soft = torch.from_numpy(both).chunk(2, dim=1)
    return torch.from_numpy(augment(x, settings, rng)), on, soft


def _learn(
    network: Spectrogram,
    optimizer: Any,
    schedule: Any,
    x: torch.Tensor,
    on: torch.Tensor,
    soft: torch.Tensor,
    settings: Network,
) -> float:
    network.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=half_precision()):
        logits = network(x).float()
    loss = loss_of(logits, on, settings, soft=soft)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    return float(loss.item())


def loss_of(
    logits: torch.Tensor, on: torch.Tensor, settings: Network, *, soft: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the loss: whether anything plays; if so, each label, and which one if it is alone.

    soft: targets of the labels in [0, 1], instead of `on`, which then only says how many play.
    """
    wanted = on if soft is None else soft
    targets = wanted * (1 - 2 * settings.smoothing) + settings.smoothing
    count = on.sum(1)
    anything = (count > 0).float() * (1 - 2 * settings.smoothing) + settings.smoothing
    loss = functional.binary_cross_entropy_with_logits(logits[:, -1], anything)
    sounding, alone = count > 0, count == 1
    if sounding.any():
        loss = loss + functional.binary_cross_entropy_with_logits(
            logits[sounding, :-1], targets[sounding]
        )
    if alone.any():
        one = wanted[alone] / wanted[alone].sum(1, keepdim=True)
        loss = loss + settings.single * functional.cross_entropy(logits[alone, :-1], one)
    return loss


def half_precision() -> bool:
    """Return whether this processor is fast with bfloat16; training then uses it."""
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported  # noqa: SLF001
    return bool(torch.backends.mkldnn.is_available() and supported())


def mixup(
    x: npt.NDArray[np.float32],
    on: npt.NDArray[Any],
    settings: Network,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Mixup: return a batch in which a share of windows is mixed with others, 0 to 15 dB below.

    on: labels or soft targets; a mixture has the higher one of both.
    """
    count = int(len(x) * settings.blends)
    if not count:
        return x, on
    other = rng.permutation(len(x))[:count]
    powers = [
        np.exp((part - part.max((1, 2), keepdims=True)) * NEPER) for part in (x[:count], x[other])
    ]
    gain = 10 ** (rng.uniform(-1.5, 0, (count, 1, 1)).astype(np.float32))
    both = np.log(powers[0] + gain * powers[1]) / NEPER
    return np.concatenate([both, x[count:]]), np.concatenate(
        [np.maximum(on[:count], on[other]), on[count:]]
    )


def augment(
    x: npt.NDArray[np.float32], settings: Network, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return spectrograms (n, bands, frames) with random tilt, shift, noise floor and masks."""
    count, bands, frames = x.shape
    points = rng.normal(0, settings.tilt_db, (count, TILT_POINTS)).astype(np.float32)
    at = np.linspace(0, TILT_POINTS - 1, bands)
    low = np.minimum(at.astype(int), TILT_POINTS - 2)
    part = (at - low).astype(np.float32)
    x = x + (points[:, low] * (1 - part) + points[:, low + 1] * part)[:, :, None]
    x = np.roll(x, rng.integers(-settings.shift, settings.shift + 1), axis=1)
    # A random noise floor, 40 to 80 dB below the loudest point.
    top = x.max(axis=(1, 2), keepdims=True)
    x = np.maximum(x, top - rng.uniform(40, 80, (count, 1, 1)).astype(np.float32))
    for axis, length in ((1, bands), (2, frames)):
        blank = _masks(count, length, rng) & (rng.random((count, 1)) < settings.masks)
        x = np.where(np.expand_dims(blank, 3 - axis), x.min(axis=(1, 2), keepdims=True), x)
    return x


def _masks(count: int, length: int, rng: np.random.Generator) -> Mask:
    """Return one stretch of up to a quarter of the length per row, bool (count, length)."""
    width = rng.uniform(0, length / 4, (count, 1))
    start = rng.uniform(0, length - width)
    place = np.arange(length)
    mask: Mask = (place >= start) & (place < start + width)
    return mask
