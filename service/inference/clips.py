"""Classifies a sound file: decodes it and computes its windows, infers in batches.

A small file is decoded on the event loop, in turn with the streams; others in a thread.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from common.errors import Late, Unprocessable
from features.config import AudioConfig, Samples
from features.containers.notes import Doubt
from features.containers.wav import read_pcm
from features.extract import extract_many
from models.events import EventDetector
from models.events import Settings as EventSettings
from models.store import Model
from service.inference.decode_pool import Check, DecodePool
from service.inference.gateway import Gateway, Prediction, prediction_of
from service.settings import Settings
from service.tracing.spans import record_decoding

Span: TypeAlias = tuple[int, int]
SMALL_BYTES = 400_000
SMALL_WINDOWS = 2
"""A plain WAV file up to both takes about a millisecond: to hand it to a thread would take longer,
most of it in waiting for the interpreter's lock."""
EVENT_HOP = 0.5
"""Seconds, as of a stream."""
MIN_SOUND = 0.5
"""Share of a padded last window that must be sound for its labels to count for the clip."""


@dataclass(frozen=True)
class ClipQuery:
    """Parameters of a request to classify a clip."""

    model: Model
    hop: int
    """Samples at the model's rate."""
    top_k: int | None
    """Scores returned of each window; None: all."""
    partial: bool = False
    """Whether a file with missing sound is read as far as it goes."""
    event_settings: EventSettings | None = None
    """By label, or by `*` for all, for the events of the response; None: it has none."""


@dataclass(frozen=True)
class Clip:
    """The tensors of a decoded sound."""

    spans: list[Span]
    """Start and end of each window, in samples at the model's rate; the last ends with the sound.
    """
    tensors: Any
    """Shape (windows, ...)."""
    seconds: float
    """Length of the sound in its file."""
    warnings: tuple[Doubt, ...]
    decode_ms: float
    features_ms: float


def hop_samples(
    hop: float | None, *, config: AudioConfig, min_hop: float, events: bool = False
) -> int:
    """Return the hop in samples; None: the window. Raises Unprocessable when out of range.

    events: whether it is to be one of a live stream, by default of EVENT_HOP seconds.
    """
    if events:
        hop = EVENT_HOP if hop is None else hop
        config.check_hop(hop, shortest=min_hop)
        return config.live_hop(hop)
    if hop is None:
        return config.window
    config.check_hop(hop, shortest=min_hop)
    return round(hop * config.sample_rate)


def decode_clip(data: bytes, query: ClipQuery, settings: Settings, check: Check) -> Clip:
    """Decode a file and compute its tensors. Raises InputError, Late."""
    # Imported here so that a gateway that only streams never loads the decoder.
    from features.decode import decode_sound

    begin = time.perf_counter()
    config, kind = query.model.sound
    sound = decode_sound(
        data,
        sample_rate=config.sample_rate,
        max_seconds=settings.max_seconds,
        max_samples=settings.max_samples,
        partial=query.partial,
        ffmpeg=settings.ffmpeg,
        check=check,
    )
    samples = sound.samples
    decoded = time.perf_counter()
    spans = window_spans(len(samples), window=config.window, hop=query.hop)
    if len(spans) > settings.max_windows:
        raise Unprocessable(
            f"{len(spans)} windows, at most {settings.max_windows} are allowed: use a longer hop"
        )
    windows = _padded(samples, spans, config.window, check)
    tensors = extract_many(windows, kind=kind, config=config)
    end = time.perf_counter()
    decode_ms, features_ms = 1e3 * (decoded - begin), 1e3 * (end - decoded)
    return Clip(spans, tensors, sound.seconds, sound.warnings, decode_ms, features_ms)


def is_small(data: bytes, query: ClipQuery) -> bool:
    """Return whether a file is decoded and its windows are computed in about a millisecond."""
    pcm = read_pcm(data) if len(data) <= SMALL_BYTES else None
    # What follows the sound may take long to read.
    if pcm is None or not pcm.is_whole:
        return False
    config = query.model.sound[0]
    length = math.ceil(pcm.frames * config.sample_rate / pcm.samplerate)
    return length <= config.window + (SMALL_WINDOWS - 1) * query.hop


def window_spans(length: int, *, window: int, hop: int) -> list[Span]:
    """Return the windows of a clip: all that fit, and a shorter one with the samples that remain.

    length, window, hop: in samples.
    """
    spans = [(start, start + window) for start in range(0, length - window + 1, hop)]
    covered = spans[-1][1] if spans else 0
    return [*spans, (len(spans) * hop, length)] if covered < length else spans


async def classify(
    gateway: Gateway, pool: DecodePool, query: ClipQuery, data: bytes, *, client: str = ""
) -> dict[str, Any]:
    """Return the response to a file, without `timing_ms.total`. client: who sent it.

    Raises InputError, Busy, Late and Leaving.
    """
    seconds = gateway.settings.clip_deadline
    deadline = time.monotonic() + seconds
    try:
        gateway.check_wait(query.model, deadline=deadline)
        small = is_small(data, query)
        async with asyncio.timeout(seconds), pool.decode_slot(client, small=small) as waited_ms:
            gateway.check_wait(query.model, deadline=deadline)
            work = partial(decode_clip, data, query, gateway.settings)
            in_turn = gateway.turns.run(partial(work, _no_check)) if small else None
            clip = await (in_turn or pool.run(work, deadline=deadline))
            record_decoding(waited_ms, decode=clip.decode_ms, features=clip.features_ms)
            results = await gateway.infer_all(
                query.model, clip.tensors, deadline=deadline, live=False
            )
    except TimeoutError:
        raise Late(f"the clip was not classified within {seconds:g} s") from None
    predictions = [
        prediction_of(query.model, each.scores, queue_ms=each.queue_ms, model_ms=each.model_ms)
        for each in results
    ]
    gateway.metrics.windows.add(query.model.name, by=len(predictions))
    timing = {
        "decode": clip.decode_ms,
        "features": clip.features_ms,
        "queue": waited_ms + max(prediction.queue_ms for prediction in predictions),
        "model": max(prediction.model_ms for prediction in predictions),
    }
    return {
        "model": query.model.name,
        "version": query.model.version,
        "windows": _windows(clip, predictions, query),
        "labels": clip_labels(clip.spans, predictions, window=query.model.sound[0].window),
        **_events(clip, predictions, query),
        **({"warnings": [vars(each) for each in clip.warnings]} if clip.warnings else {}),
        "timing_ms": {stage: round(ms, 3) for stage, ms in timing.items()},
    }


def _no_check() -> None:
    """Nothing to do: the work ends at once."""


def clip_labels(spans: list[Span], predictions: list[Prediction], *, window: int) -> list[str]:
    """Return the labels of all windows, highest mean score first.

    A padded last window counts if at least half of it is sound or it is the only one.
    """
    counted = [
        prediction
        for (start, end), prediction in zip(spans, predictions, strict=True)
        if end - start >= MIN_SOUND * window or len(spans) == 1
    ]
    labels = dict.fromkeys(label for prediction in counted for label in prediction.labels)
    return sorted(
        labels,
        key=lambda label: -sum(prediction.scores.get(label, 0.0) for prediction in counted),
    )


def _padded(samples: Samples, spans: list[Span], window: int, check: Check) -> Iterator[Samples]:
    for start, end in spans:
        check()
        sound = samples[start:end]
        yield sound if len(sound) == window else np.pad(sound, (0, window - len(sound)))


def _events(clip: Clip, predictions: list[Prediction], query: ClipQuery) -> dict[str, Any]:
    """Return `events` as a stream of the same hop has them, if they are asked for.

    So a padded last window is left out, unless it is the only one.
    """
    if query.event_settings is None:
        return {}
    config, labels = query.model.sound[0], query.model.manifest.labels
    rate = config.sample_rate
    detector = EventDetector(labels, query.event_settings, hop=query.hop, sample_rate=rate)
    events = []
    for (start, end), prediction in zip(clip.spans, predictions, strict=True):
        if end - start == config.window or len(clip.spans) == 1:
            events += detector.feed(start, end, prediction.scores)
    told = [*events, *detector.finish()]
    return {
        "events": [
            {
                "label": event.label,
                "start": round(event.start / rate, 6),
                "end": round(event.end / rate, 6),
                "peak": event.peak,
                "mean": event.mean,
            }
            for event in sorted(told, key=lambda each: each.start)
            if event.end is not None
        ]
    }


def _windows(clip: Clip, predictions: list[Prediction], query: ClipQuery) -> list[dict[str, Any]]:
    rate = query.model.sound[0].sample_rate
    return [
        {
            "start": round(start / rate, 6),
            "end": round(min(end / rate, max(clip.seconds, start / rate)), 6),
            "scores": dict(list(prediction.scores.items())[: query.top_k]),
            "labels": list(prediction.labels),
        }
        for (start, end), prediction in zip(clip.spans, predictions, strict=True)
    ]
