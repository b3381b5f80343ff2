"""Events of held-out recordings whose onsets are known: their settings, figures and artefacts."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from training.common.labels import RATE
from training.evaluation.event_scores import Span, joined
from training.evaluation.recording_events import (
    Detected,
    ScoredRecording,
    calibrate,
    measure_events,
    settings_of,
)
from training.recordings import audio
from training.recordings.collection import CollectionError
from training.recordings.windows import labels as labels_of
from training.sound_models.whole_recordings import LIVE_HOP_S, live_scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.manifest import Label
    from training.common.progress import Stage
    from training.evaluation.metrics import Metrics
    from training.pipelines.sound_model import Candidate
    from training.recordings.collection import Clip, Collection
    from training.recordings.settings import SoundsRecipe
    from training.recordings.table import Table


def with_events(
    recipe: SoundsRecipe, candidate: Candidate, collection: Collection, table: Table, stage: Stage
) -> Candidate:
    """Return the candidate with the settings and the figures of its events.

    The validation part chooses the settings, the test part has the figures. A collection without
    known onsets leaves the candidate as it is.
    """
    held_out = _held_out(collection, table)
    if not held_out:
        return candidate
    recordings: dict[str, list[ScoredRecording]] = {"valid": [], "test": []}
    decoder = audio.Recordings(RATE)
    with stage(f"{candidate.model}: events") as progress:
        for done, (part, clip) in enumerate(held_out, 1):
            recordings[part] += _scored(recipe, candidate, decoder, clip, table)
            progress(done, len(held_out))
        labels = candidate.labels(table.names)
        if recipe.events.calibrate:
            labels = calibrate(recordings["valid"], labels)
    found = figures(labels, recordings["valid"], [(one, labels) for one in recordings["test"]])
    return with_settings(candidate, labels, found | {"pause_s": _pause_s(recipe)})


def with_settings(candidate: Candidate, labels: Sequence[Label], found: Metrics) -> Candidate:
    """Return the candidate with settings of events and their figures."""
    events = {label.name: label.events for label in labels if label.events}
    return replace(candidate, events=events, metrics=candidate.metrics | {"events": found})


def figures(
    labels: Sequence[Label],
    chosen_by: Sequence[ScoredRecording],
    tested: Sequence[tuple[ScoredRecording, Sequence[Label]]],
) -> Metrics:
    """Return the figures of events, and the settings; of no recording only those."""
    measured = measure_events([Detected(one, tuple(own)) for one, own in tested]) if tested else {}
    return measured | {"settings": settings_of(labels, chosen_by)}


def _held_out(collection: Collection, table: Table) -> list[tuple[str, Clip]]:
    """Return part and clip of the recordings to find events in, if onsets are known at all."""
    if not any(clip.intervals for clip in collection.clips):
        return []
    with (table.path / "clips.csv").open(newline="", encoding="utf-8") as file:
        parts = [line["part"] for line in csv.DictReader(file)]
    return [
        (part, clip)
        for part, clip in zip(parts, collection.clips, strict=True)
        # Where nothing sounds, that is known too.
        if part != "train" and (clip.intervals or not clip.labels)
    ]


def _scored(
    recipe: SoundsRecipe,
    candidate: Candidate,
    decoder: audio.Recordings,
    clip: Clip,
    table: Table,
) -> Iterator[ScoredRecording]:
    """Yield a recording with its scores, unless it cannot be read or is too short for a window."""
    config = table.config
    try:
        sound = decoder.read(clip.path, clip.inner)
    except CollectionError:
        return  # told with the other problems of the table
    sound = sound[round(clip.start * RATE) : round(clip.end * RATE)]
    if len(sound) < config.window:
        return
    hop = config.live_hop(LIVE_HOP_S)
    scores = live_scores(candidate.fitted, sound, kind=candidate.kind, config=config)
    at = clip.start + np.arange(len(scores)) * hop / RATE
    yield ScoredRecording(
        source=clip.source,
        seconds=len(sound) / RATE,
        truth=_truth(clip, _pause_s(recipe)),
        scores=scores,
        labels=labels_of(clip, at, recipe.windows, table.names),
        hop=hop,
        window=config.window,
        rate=RATE,
    )


def _pause_s(recipe: SoundsRecipe) -> float:
    """Return the longest pause that leaves a label on in every window, by the label rule."""
    return (1 - recipe.windows.share) * recipe.windows.length


def _truth(clip: Clip, pause_s: float) -> dict[str, list[Span]]:
    return {
        label: joined(
            (
                Span(one.start - clip.start, one.end - clip.start)
                for one in clip.intervals
                if one.label == label
            ),
            pause=pause_s,
        )
        for label in clip.labels
    }
