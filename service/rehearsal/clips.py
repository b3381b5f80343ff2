"""Cuts the sound around events out of recordings, as MP3, which any browser plays."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import soundfile

from features.config import Samples
from features.decode import decode_sound
from service.rehearsal.compare import Heard

RATE = 24_000
BEFORE_S = 1.0
"""Seconds before an event."""
STEP_S = 4
"""Clips begin at multiples of so many seconds, so that events near each other share one."""
LENGTH_S = 8
MOST = 200
"""Clips on a page; each has about 40 kB."""
Key: TypeAlias = tuple[Path, int]


def clip_of(path: Path, event: Heard) -> tuple[Key, float]:
    """Return the key of the clip that an event is in, and the second to begin at."""
    begin = max(0.0, event.start - BEFORE_S)
    number = int(begin // STEP_S)
    return (path, number), begin - number * STEP_S


def cut(events: Mapping[Path, Iterable[Heard]]) -> dict[Key, str]:
    """Return the first `MOST` clips that events need, as data URLs by key."""
    found: dict[Key, str] = {}
    for path, some in events.items():
        keys = list(dict.fromkeys(clip_of(path, event)[0] for event in some))
        keys = keys[: MOST - len(found)]
        if keys:
            sound = decode_sound(
                path.read_bytes(),
                sample_rate=RATE,
                max_seconds=float("inf"),
                max_samples=None,
                partial=True,
                ffmpeg=True,
            )
            for key in keys:
                begin = key[1] * STEP_S * RATE
                found[key] = _url(sound.samples[begin : begin + LENGTH_S * RATE])
    return found


def _url(samples: Samples) -> str:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="MP3", subtype="MPEG_LAYER_III")
    return f"data:audio/mpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
