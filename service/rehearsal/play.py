"""Plays kept recordings through two versions of a model, as fast as they can be read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError, TimbreError, Unprocessable
from common.folders import files_below
from models.store import Model
from service.inference.clips import Clip, ClipQuery, decode_clip, hop_samples
from service.rehearsal.compare import Change, Heard, Scores, changes
from service.settings import Settings

LONGEST_S = 3_600.0
"""Of a recording: all its windows are in memory at once."""
STEPS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds that are tried for each label."""


@dataclass(frozen=True)
class Played:
    """One recording as both versions heard it."""

    path: Path
    source: str
    """The folder that it is in; empty for the archive itself."""
    seconds: float
    before: list[Heard]
    after: list[Heard]
    changes: list[Change]
    at: dict[str, dict[float, list[Heard]]]
    """Events of the candidate by label and threshold."""


def recordings(archive: Path, model: Model) -> list[Path]:
    """Return the sound files below a folder, in order. Raises InputError if there is none."""
    if not archive.is_dir():
        raise InputError(f"{archive} is no folder")
    paths = [archive / name for name in sorted(files_below(archive))]
    found = [path for path in paths if model.input.takes(path)]
    if not found:
        raise InputError(f"{archive} holds no sound file")
    return found


def check_models(served: Model, candidate: Model) -> None:
    """Raise Unprocessable for models that have no events."""
    for model in (served, candidate):
        if model.input.medium != "sound" or model.manifest.task != "multi-label":
            raise Unprocessable(f"{model.name} {model.version} has no events: it is no sound model")


def play(
    paths: Sequence[Path], archive: Path, served: Model, candidate: Model
) -> Iterator[tuple[Path, Played | TimbreError]]:
    """Yield each recording with what both versions hear in it, or why it cannot be read."""
    for path in paths:
        try:
            yield path, _played(path, archive, served, candidate)
        except OSError as error:
            yield path, InputError(error.strerror or str(error))
        except TimbreError as error:
            yield path, error


def _played(path: Path, archive: Path, served: Model, candidate: Model) -> Played:
    data = path.read_bytes()
    old, clip = _scores(data, served, None)
    new, _ = _scores(data, candidate, clip if served.sound == candidate.sound else None)
    labels = candidate.manifest.labels
    before, after = old.events(served.manifest.labels, {}), new.events(labels, {})
    at: dict[str, dict[float, list[Heard]]] = {label.name: {} for label in labels}
    for step in STEPS:
        for label in labels:
            at[label.name][step] = []
        for event in new.events(labels, {"*": {"threshold": step}}):
            at[event.label][step].append(event)
    parent = path.parent.relative_to(archive)
    source = "" if parent == Path() else parent.parts[0]
    return Played(path, source, clip.seconds, before, after, changes(before, after), at)


def _scores(data: bytes, model: Model, clip: Clip | None) -> tuple[Scores, Clip]:
    config = model.sound[0]
    hop = hop_samples(None, config=config, min_hop=Settings.min_hop, events=True)
    query = ClipQuery(model=model, hop=hop, top_k=None, partial=True)
    clip = clip or decode_clip(data, query, _settings(), lambda: None)
    # As the events of a stream, a padded window counts only where there is no other.
    whole = [
        number
        for number, (start, end) in enumerate(clip.spans)
        if end - start == config.window or len(clip.spans) == 1
    ]
    spans = [clip.spans[number] for number in whole]
    return Scores(spans, model.predict(clip.tensors[whole]), hop, config.sample_rate), clip


def _settings() -> Settings:
    return Settings(
        max_seconds=LONGEST_S,
        max_samples=sys.maxsize,
        max_windows=round(LONGEST_S / Settings.min_hop),
        ffmpeg=True,
    )
