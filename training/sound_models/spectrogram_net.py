"""The log-mel network as a torch module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from training.common.model_settings import Network


class Spectrogram(nn.Module):  # type: ignore[misc]
    """Convolutions with batch norm, mean and maximum over time, one linear layer."""

    def __init__(self, settings: Network, *, bands: int, labels: int) -> None:
        """Build it with random weights, drawn from torch's generator."""
        super().__init__()
        self.depth_db = settings.depth_db
        before = (1, *settings.channels[:-1])
        steps = zip(before, settings.channels, settings.strides, strict=True)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, 3, s, padding=1, bias=False) for i, o, s in steps
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in settings.channels)
        first = -(-bands // settings.strides[0][0])
        for high, _ in settings.strides:
            bands = -(-bands // high)
            # What a partial means depends on its pitch, so the first layer may treat every band
            # differently.
        self.place = nn.Parameter(torch.zeros(settings.channels[0], first, 1))
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * bands * settings.channels[-1], labels + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, labels + 1) of spectrograms in dB, (n, bands, frames).

        The last logit: anything plays at all.
        """
        x = (x - x.amax((1, 2), keepdim=True)).clamp(min=-self.depth_db) * (2 / self.depth_db) + 1
        x = x.unsqueeze(1)
        for number, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            x = norm(convolution(x))
            x = functional.relu(x + self.place if number == 0 else x)
        x = torch.cat([x.mean(3).flatten(1), x.amax(3).flatten(1)], dim=1)
        logits: torch.Tensor = self.head(self.dropout(x))
        return logits

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (n, labels): P(anything plays) x P(label | something plays)."""
        parts = self(x).sigmoid()
        product: torch.Tensor = parts[:, :-1] * parts[:, -1:]
        return product
