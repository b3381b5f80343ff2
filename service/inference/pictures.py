"""Classifies a picture file: decodes it in a thread, batches it with those of other requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import Late
from features.config import Tensor
from models.store import Model
from service.inference.decode_pool import Check, DecodePool
from service.inference.gateway import Gateway
from service.tracing.spans import record_decoding

TOP_K = 5
"""Predictions returned by default."""


@dataclass(frozen=True)
class PictureQuery:
    """Parameters of a request to classify a picture."""

    model: Model
    top_k: int = TOP_K
    """Predictions returned."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Values that the model takes beside the picture, by name."""


async def classify(
    gateway: Gateway, pool: DecodePool, query: PictureQuery, data: bytes, *, client: str = ""
) -> dict[str, Any]:
    """Return the response to a file, without `timing_ms.total`. client: who sent it.

    Raises InputError, Busy, Late and Leaving.
    """
    seconds = gateway.settings.clip_deadline
    deadline = time.monotonic() + seconds
    try:
        gateway.check_wait(query.model, deadline=deadline)
        async with asyncio.timeout(seconds):
            # The slot is free after the decoding: the tensor is small, and waits in the queue to
            # share a batch with others.
            async with pool.decode_slot(client) as waited_ms:
                gateway.check_wait(query.model, deadline=deadline)
                tensor, decode_ms = await pool.run(
                    lambda check: decode_picture(data, query, gateway.settings.max_pixels, check),
                    deadline=deadline,
                )
            record_decoding(waited_ms, decode=decode_ms)
            prediction = await gateway.infer(
                query.model, tensor, deadline=deadline, live=False, stream=gateway.new_id()
            )
    except TimeoutError:
        raise Late(f"the picture was not classified within {seconds:g} s") from None
    timing = {
        "decode": decode_ms,
        "queue": waited_ms + prediction.queue_ms,
        "model": prediction.model_ms,
    }
    return {
        "model": query.model.name,
        "version": query.model.version,
        "predictions": [
            {"label": label, "score": score}
            for label, score in list(prediction.scores.items())[: query.top_k]
        ],
        "timing_ms": {stage: round(ms, 3) for stage, ms in timing.items()},
    }


def decode_picture(
    data: bytes, query: PictureQuery, max_pixels: int, check: Check
) -> tuple[Tensor, float]:
    """Return the tensor of a file, and ms. Raises InputError, Late. Runs in a thread."""
    # Imported here so that a gateway without pictures never loads the decoder.
    from features.picture import decode, tensor

    begin = time.perf_counter()
    config = query.model.picture
    pixels = decode(data, config, max_pixels=max_pixels, check=check)
    packed = tensor(pixels, config, query.metadata)
    return packed, 1e3 * (time.perf_counter() - begin)
