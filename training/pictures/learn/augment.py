"""Augmentation of batches of training pictures, as tensors, from one seed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from training.pictures.dataset.settings import Augment

WHITE, WHITE_FROM = 255.0, 247.0
"""Transparency is decoded as white, which resampling blurs a little."""


def augment_batch(x: torch.Tensor, how: Augment, random: torch.Generator) -> torch.Tensor:
    """Return an augmented batch (n, 3, height, width), float32 from 0 to 255."""
    if how.axes or how.shift or how.scale or how.turn:
        x = _move(x, how, random)
    if how.background:
        x = _background(x, how.background, random)
    if how.colour:
        x = _colour(x, how.colour, random)
    if how.noise:
        amount = how.noise * _uniform(random, len(x), 1, 1, 1, low=0)
        x = x + amount * _like(x).normal_(generator=random)
    return x.clamp(0, 255)


def _move(x: torch.Tensor, how: Augment, random: torch.Generator) -> torch.Tensor:
    """Return the pictures flipped, shifted, scaled and rotated, with a white border."""
    import torch
    from torch.nn import functional

    count = len(x)
    angle = _uniform(random, count) * (how.turn * math.pi / 180)
    size = 1 + how.scale * _uniform(random, count)
    if how.turned < 1:
        angle = angle * (_uniform(random, count, low=0) < how.turned)
    across, down = (
        torch.where(_uniform(random, count) > 0, 1.0, -1.0)
        if axis in how.axes
        else torch.ones(count)
        for axis in "xy"
    )
    shift = 2 * how.shift * _uniform(random, count, 2)
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    rows = [
        torch.stack([cos * across, -sin * down, shift[:, 0]], 1),
        torch.stack([sin * across, cos * down, shift[:, 1]], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return WHITE - functional.grid_sample(
        WHITE - x, grid, padding_mode="zeros", align_corners=False
    )


def _background(x: torch.Tensor, share: float, random: torch.Generator) -> torch.Tensor:
    """Return the pictures; a share of them gets a random background instead of white."""
    chosen = _uniform(random, len(x), 1, 1, 1, low=0) < share
    colour = WHITE * _uniform(random, len(x), 3, 1, 1, low=0)
    white = (x.amin(1, keepdim=True) - WHITE_FROM).clamp(0) / (WHITE - WHITE_FROM) * chosen
    return x * (1 - white) + colour * white


def _colour(x: torch.Tensor, amount: float, random: torch.Generator) -> torch.Tensor:
    """Return the pictures with other gains, offsets and saturation."""
    gain = 1 + amount * _uniform(random, len(x), 3, 1, 1)
    offset = 0.5 * WHITE * amount * _uniform(random, len(x), 1, 1, 1)
    faded = amount * _uniform(random, len(x), 1, 1, 1, low=0)
    return (x + faded * (x.mean(1, keepdim=True) - x) - 128) * gain + 128 + offset


def _uniform(random: torch.Generator, *shape: int, low: float = -1.0) -> torch.Tensor:
    import torch

    return low + (1 - low) * torch.rand(shape, generator=random)


def _like(x: torch.Tensor) -> Any:
    import torch

    return torch.empty_like(x)
