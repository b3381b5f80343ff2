"""Soft targets: scores that small networks on embeddings give sources they were not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from training.common.standard import mean_and_scale
from training.sound_models.network import loss_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from training.common.model_settings import Network
    from training.common.progress import Progress
    from training.evaluation.metrics import Mask, Scores

    Array = npt.NDArray[np.float32]

# Raised whenever the same settings would give other targets.
VERSION = 2
WIDTH = 256
EPOCHS = 8
BATCH = 256
MOST_ROWS = 24_000
"""Windows that a head is fitted on, drawn at random."""
RATE, DECAY = 2e-3, 0.02
DROPOUT = 0.4


@dataclass(frozen=True)
class TeacherHead:
    """A fitted head: standardisation, one hidden layer, a logit per label and one for any."""

    mean: Array
    scale: Array
    layers: nn.Sequential

    def scores(self, embeddings: Array) -> Scores:
        """Return P(label | something plays), (n, labels), of embeddings (n, numbers)."""
        with torch.inference_mode():
            x = torch.from_numpy((embeddings - self.mean) / self.scale)
            return self.layers(x)[:, :-1].sigmoid().numpy()  # type: ignore[no-any-return]


def fit_teacher_head(
    embeddings: Array,
    labels: Mask,
    rows: npt.NDArray[np.int64],
    settings: Network,
    *,
    seed: int,
) -> TeacherHead:
    """Return a head fitted on some rows, at most 24,000. settings: smoothing and single."""
    torch.manual_seed(seed)
    rows = np.random.default_rng(seed).permutation(rows)[:MOST_ROWS]
    x = np.asarray(embeddings[rows], np.float32)
    mean, scale = (one.astype(np.float32) for one in mean_and_scale(x, alike=True))
    given = torch.from_numpy((x - mean) / scale)
    on = torch.from_numpy(labels[rows].astype(np.float32))
    layers = nn.Sequential(
        nn.Dropout(DROPOUT / 2),
        nn.Linear(x.shape[1], WIDTH),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(WIDTH, on.shape[1] + 1),
    )
    size = min(BATCH, len(rows))
    steps = EPOCHS * (len(rows) // size)
    optimizer = torch.optim.AdamW(layers.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    for _ in range(EPOCHS):
        for some in torch.randperm(len(rows))[: len(rows) // size * size].reshape(-1, size):
            loss = loss_of(layers(given[some]), on[some], settings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return TeacherHead(mean, scale, layers.eval())


def soft_targets(
    embeddings: Array,
    labels: Mask,
    source: npt.NDArray[np.str_],
    settings: Network,
    *,
    share: float,
    seed: int,
    excluded: Sequence[str] = (),
    progress: Progress | None = None,
) -> Scores:
    """Return targets (n, labels): labels and, by the share, scores of heads not trained on them.

    source: (n,), of windows across sources joined by "+". The head of a window is fitted without
    any window of its source and of the excluded ones. Windows of excluded sources, of several
    sources, and without a label, keep their labels.
    """
    parts = [frozenset(name.split("+")) for name in source.tolist()]
    sounding: Mask = np.asarray(labels.any(axis=1))
    targets = labels.astype(np.float32)
    groups = sorted(
        {
            part
            for part, on in zip(parts, sounding, strict=True)
            if on and len(part) == 1 and not part & {*excluded}
        },
        key=sorted,
    )
    for done, group in enumerate(groups, 1):
        out = group | {*excluded}
        others = np.flatnonzero([not part & out for part in parts])
        own = np.flatnonzero(sounding & np.array([part == group for part in parts]))
        if not labels[others].any():
            continue
        head = fit_teacher_head(embeddings, labels, others, settings, seed=seed)
        said = head.scores(np.asarray(embeddings[own], np.float32))
        targets[own] = (1 - share) * targets[own] + share * said
        if progress:
            progress(done, len(groups))
    return targets
