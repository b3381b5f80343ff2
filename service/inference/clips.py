"""A sound file to an answer: decoded and cut in threads, asked window by window."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from common.errors import Late, Unprocessable
from features.config import AudioConfig, Samples
from features.extract import extract_many
from models.store import Model
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway, Prediction
from service.settings import Settings

Result = TypeVar("Result")
Span: TypeAlias = tuple[int, int]
WHOLE = 0.5
"""Share of a padded last window that must be sound for its labels to count for the clip."""


@dataclass(frozen=True)
class ClipQuery:
    """What is asked of a clip."""

    model: Model
    hop: int
    """Samples at the model's rate."""
    top_k: int | None
    """How many scores of each window are told; None: all."""


@dataclass(frozen=True)
class Clip:
    """A decoded sound as tensors."""

    spans: list[Span]
    """Start and end of each window, in samples at the model's rate; the last end is that of the
    sound."""
    tensors: Any
    """Shape (windows, ...)."""
    decode_ms: float
    features_ms: float


def hop_samples(hop: float | None, *, config: AudioConfig, min_hop: float) -> int:
    """Return the hop in samples; None is the window itself. Raises Unprocessable when out of range."""
    if hop is None:
        return config.window
    config.check_hop(hop, shortest=min_hop)
    return round(hop * config.sample_rate)


def read_clip(data: bytes, query: ClipQuery, settings: Settings) -> Clip:
    """Decode a file and compute its tensors. Raises InputError and its kinds. Runs in a thread."""
    # Imported here so that a gateway that only streams never pays for the decoder.
    from features.decode import decode

    begin = time.perf_counter()
    config, kind = query.model.sound
    samples = decode(data, sample_rate=config.sample_rate, max_seconds=settings.max_seconds)
    decoded = time.perf_counter()
    spans = cut(len(samples), window=config.window, hop=query.hop)
    if len(spans) > settings.max_windows:
        raise Unprocessable(
            f"{len(spans)} windows, more than the {settings.max_windows} allowed: ask for a longer hop"
        )
    tensors = extract_many(_padded(samples, spans, config.window), kind=kind, config=config)
    end = time.perf_counter()
    return Clip(spans, tensors, 1e3 * (decoded - begin), 1e3 * (end - decoded))


def cut(length: int, *, window: int, hop: int) -> list[Span]:
    """Return the windows of a clip: all that fit, and a shorter last one if some samples are in none of them."""
    spans = [(start, start + window) for start in range(0, length - window + 1, hop)]
    covered = spans[-1][1] if spans else 0
    return [*spans, (len(spans) * hop, length)] if covered < length else spans


async def answer(
    gateway: Gateway, pool: DecodePool, query: ClipQuery, data: bytes
) -> dict[str, Any]:
    """Return the answer to a file, but for `timing_ms.total`. Raises InputError and its kinds, Busy, Late, Leaving."""
    seconds = gateway.settings.clip_deadline
    deadline = time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds), pool.turn() as waited_ms:
            clip = await pool.run(lambda: read_clip(data, query, gateway.settings))
            verdicts = await _ask(gateway, query.model, clip, deadline=deadline)
    except TimeoutError:
        raise Late(f"the clip was not answered within {seconds:g} s") from None
    timing = {
        "decode": clip.decode_ms,
        "features": clip.features_ms,
        "queue": waited_ms + max(each.queue_ms for each in verdicts),
        "model": max(each.model_ms for each in verdicts),
    }
    return {
        "model": query.model.name,
        "version": query.model.version,
        "windows": _windows(clip, verdicts, query),
        "labels": clip_labels(clip.spans, verdicts, window=query.model.sound[0].window),
        "timing_ms": {stage: round(ms, 3) for stage, ms in timing.items()},
    }


async def _ask(gateway: Gateway, model: Model, clip: Clip, *, deadline: float) -> list[Prediction]:
    """Ask for every window, a batch at a time: a long clip must not fill the queue on its own."""
    size, stream = gateway.settings.max_batch, gateway.new_id()
    verdicts: list[Prediction] = []
    for at in range(0, len(clip.spans), size):
        asked = [
            asyncio.create_task(
                gateway.infer(model, tensor, deadline=deadline, live=False, stream=stream)
            )
            for tensor in clip.tensors[at : at + size]
        ]
        try:
            verdicts += await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
    return verdicts


def clip_labels(spans: list[Span], verdicts: list[Prediction], *, window: int) -> list[str]:
    """Return the labels of all windows, that of the highest mean score first.

    A padded last window counts if half of it is sound or it is alone.
    """
    counted = [
        verdict
        for (start, end), verdict in zip(spans, verdicts, strict=True)
        if end - start >= WHOLE * window or len(spans) == 1
    ]
    heard = dict.fromkeys(label for verdict in counted for label in verdict.labels)
    return sorted(
        heard, key=lambda label: -sum(verdict.scores.get(label, 0.0) for verdict in counted)
    )


def _padded(samples: Samples, spans: list[Span], window: int) -> Iterator[Samples]:
    for start, end in spans:
        sound = samples[start:end]
        yield sound if len(sound) == window else np.pad(sound, (0, window - len(sound)))


def _windows(clip: Clip, verdicts: list[Prediction], query: ClipQuery) -> list[dict[str, Any]]:
    rate = query.model.sound[0].sample_rate
    return [
        {
            "start": round(start / rate, 6),
            "end": round(end / rate, 6),
            "scores": dict(list(verdict.scores.items())[: query.top_k]),
            "labels": list(verdict.labels),
        }
        for (start, end), verdict in zip(clip.spans, verdicts, strict=True)
    ]
