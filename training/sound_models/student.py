"""A small network on log-mel spectrograms that learns the embeddings of a larger one, with torch.

Feature distillation: the mean squared error to the teacher's embedding, each number of it
standardised, so that an error of 1 is that of always answering the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from features.config import DEFAULT
from training.common.standard import mean_and_scale
from training.sound_models import network_onnx
from training.sound_models.network import augment, half_precision, rate_of
from training.sound_models.spectrogram_net import Spectrogram

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.common.model_settings import Network
    from training.common.progress import Progress
    from training.evaluation.leave_one_out import HistoryEntry

    Array = npt.NDArray[np.float32]

HELD_OUT = 0.05
"""Share of the windows, the last ones, that only measure."""
_BLOCK = 256


@dataclass(frozen=True)
class Student:
    """A trained network."""

    network: Spectrogram
    history: list[HistoryEntry]
    """`loss` of an epoch, and `explained`: the share of the variance of the teacher's embeddings
    that is explained on windows held out; 0: no better than their mean."""

    @property
    def numbers(self) -> int:
        """Numbers of an embedding."""
        return int(self.network.head.out_features)

    def __call__(self, spectrograms: npt.NDArray[Any]) -> Array:
        """Return embeddings (n, numbers) of spectrograms (n, bands, frames) in dB."""
        blocks = range(0, len(spectrograms), _BLOCK)
        with torch.inference_mode():
            return np.concatenate(
                [
                    self.network(torch.from_numpy(np.asarray(spectrograms[at : at + _BLOCK], "f4")))
                    for at in blocks
                ]
            )

    def onnx(self) -> bytes:
        """Return the graph from `log_mel` (n, bands, frames) to `embedding` (n, numbers)."""
        bands, frames = DEFAULT.shape("log_mel")
        return network_onnx.export_embedding(self.network, bands=bands, frames=frames)


class _Lesson(NamedTuple):
    spectrograms: npt.NDArray[Any]
    targets: Array
    settings: Network


def fit(
    spectrograms: npt.NDArray[Any],
    embeddings: npt.NDArray[np.float32],
    settings: Network,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Student:
    """Return a network that gives the standardised embeddings of a teacher.

    spectrograms: (n, bands, frames) in dB, may be a memory map; embeddings: (n, numbers). The last
    twentieth of both is not learnt from.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    learnt = len(embeddings) - max(1, round(HELD_OUT * len(embeddings)))
    mean, scale = mean_and_scale(embeddings[:learnt], alike=True)
    targets = ((embeddings - mean) / scale).astype(np.float32)
    numbers, bands = targets.shape[1], spectrograms.shape[1]
    # Its last logit is a number of the embedding like the others.
    network = Spectrogram(settings, bands=bands, labels=numbers - 1)
    network = network.to(memory_format=torch.channels_last)
    size = min(settings.batch, learnt)
    steps = settings.epochs * (learnt // size)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_of, steps=steps))
    lesson, history, done = _Lesson(spectrograms, targets, settings), [], 0
    for _ in range(settings.epochs):
        losses = []
        for some in rng.permutation(learnt)[: learnt // size * size].reshape(-1, size):
            losses.append(_learn(network, optimizer, lesson, np.sort(some), rng))
            schedule.step()
            done += 1
            if progress:
                progress(done, steps)
        student = Student(network.eval(), [])
        left = student(spectrograms[learnt:]) - targets[learnt:]
        explained = 1 - float(np.square(left).mean() / np.square(targets[learnt:]).mean())
        history.append({"loss": float(np.mean(losses)), "explained": explained})
    return Student(network.eval(), history)


def _learn(
    network: Spectrogram,
    optimizer: Any,
    lesson: _Lesson,
    rows: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> float:
    network.train()
    given = augment(np.asarray(lesson.spectrograms[rows], np.float32), lesson.settings, rng)
    with torch.autocast("cpu", torch.bfloat16, enabled=half_precision()):
        found = network(torch.from_numpy(given)).float()
    loss = functional.mse_loss(found, torch.from_numpy(lesson.targets[rows]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.item())
