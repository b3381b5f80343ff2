"""A picture file to an answer: decoded in a thread, asked as one tensor among those of other requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import Late
from features.config import Tensor
from models.store import Model
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway

TOP_K = 5
"""Predictions told unless more or fewer are asked for."""


@dataclass(frozen=True)
class PictureQuery:
    """What is asked of a picture."""

    model: Model
    top_k: int = TOP_K
    """How many predictions are told."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What is told beside the picture, by name."""


async def answer(
    gateway: Gateway, pool: DecodePool, query: PictureQuery, data: bytes
) -> dict[str, Any]:
    """Return the answer to a file, but for `timing_ms.total`. Raises InputError and its kinds, Busy, Late, Leaving."""
    seconds = gateway.settings.clip_deadline
    deadline = time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds):
            # A turn is over with the decoding: the tensor is small, and waits in the queue to share
            # a call with others.
            async with pool.turn() as waited_ms:
                tensor, decode_ms = await pool.run(
                    lambda: read_picture(data, query, gateway.settings.max_pixels)
                )
            verdict = await gateway.infer(
                query.model, tensor, deadline=deadline, live=False, stream=gateway.new_id()
            )
    except TimeoutError:
        raise Late(f"the picture was not answered within {seconds:g} s") from None
    timing = {"decode": decode_ms, "queue": waited_ms + verdict.queue_ms, "model": verdict.model_ms}
    return {
        "model": query.model.name,
        "version": query.model.version,
        "predictions": [
            {"label": label, "score": score}
            for label, score in list(verdict.scores.items())[: query.top_k]
        ],
        "timing_ms": {stage: round(ms, 3) for stage, ms in timing.items()},
    }


def read_picture(data: bytes, query: PictureQuery, max_pixels: int) -> tuple[Tensor, float]:
    """Return the tensor of a file, and the milliseconds it took. Raises InputError and its kinds. Runs in a thread."""
    # Imported here so that a gateway without pictures never pays for the decoder.
    from features.picture import decode, tensor

    begin = time.perf_counter()
    config = query.model.picture
    packed = tensor(decode(data, config, max_pixels=max_pixels), config, query.metadata)
    return packed, 1e3 * (time.perf_counter() - begin)
