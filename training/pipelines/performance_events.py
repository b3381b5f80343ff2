"""Events of performances by each source left out, scored by the model without that source."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import DEFAULT
from training.common.labels import LABELS, RATE
from training.evaluation import leave_one_out
from training.evaluation.event_scores import Span, joined
from training.evaluation.recording_events import ScoredRecording, calibrate
from training.notes.mixtures import AUDIBLE_SECONDS
from training.notes.performances import LENGTH, SECONDS, perform
from training.pipelines.sound_events import figures, with_settings
from training.sound_models.whole_recordings import LIVE_HOP_S, live_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.manifest import Label
    from training.common.progress import Stage
    from training.evaluation.leave_one_out import Fitted
    from training.notes.library import Library
    from training.pipelines.instruments_recipe import InstrumentsRecipe
    from training.pipelines.sound_model import Candidate

PERFORMANCES = 8
"""Of each source."""
PAUSE_S = DEFAULT.window / RATE - AUDIBLE_SECONDS
"""The longest pause that leaves a label on in every window, by the label rule."""


def with_events(
    recipe: InstrumentsRecipe,
    candidate: Candidate,
    models: Mapping[str, Fitted],
    libraries: Mapping[str, Library],
    rule: dict[str, Any],
    stage: Stage,
) -> Candidate:
    """Return the candidate with the settings and the figures of its events.

    models: by the source that each did not see. rule: how thresholds are chosen. The settings of
    the artefact are chosen on all sources; the figures of a source are by thresholds and settings
    of the others.
    """
    if not models:
        return candidate
    recordings: dict[str, list[ScoredRecording]] = {}
    with stage(f"{candidate.model}: events of performances") as progress:
        for done, (source, fitted) in enumerate(models.items(), 1):
            recordings[source] = _scored(recipe, candidate, fitted, libraries[source], done)
            progress(done, len(models))
        everything = [one for some in recordings.values() for one in some]
        labels = _tuned(recipe, candidate.labels(LABELS), everything)
        tested = []
        for source, some in recordings.items():
            own = _without(recipe, candidate, source, recordings, rule)
            tested += [(one, own) for one in some]
    found = figures(labels, everything, tested)
    return with_settings(candidate, labels, found | {"pause_s": PAUSE_S})


def _tuned(
    recipe: InstrumentsRecipe, labels: list[Label], recordings: list[ScoredRecording]
) -> list[Label]:
    return calibrate(recordings, labels) if recipe.events.calibrate else labels


def _without(
    recipe: InstrumentsRecipe,
    candidate: Candidate,
    source: str,
    recordings: Mapping[str, list[ScoredRecording]],
    rule: dict[str, Any],
) -> list[Label]:
    """Return the labels as all sources but one have them, if there are others."""
    others = [one for one in candidate.evaluated if one.source != source]
    if not others:
        return candidate.labels(LABELS)
    limits = leave_one_out.thresholds(others, **rule)
    labels = replace(candidate, thresholds=limits).labels(LABELS)
    rest = [one for name, some in recordings.items() if name != source for one in some]
    return _tuned(recipe, labels, rest)


def _scored(
    recipe: InstrumentsRecipe, candidate: Candidate, fitted: Fitted, library: Library, number: int
) -> list[ScoredRecording]:
    """Return performances of a source with their scores. number: of the source, for the seed."""
    rng, hop = np.random.default_rng([recipe.seed, SECONDS, number]), DEFAULT.live_hop(LIVE_HOP_S)
    found = []
    for _ in range(PERFORMANCES):
        played = perform(library, rng)
        truth = {name: [Span(*each) for each in played.intervals(name)] for name in library.labels}
        found.append(
            ScoredRecording(
                source=library.source,
                seconds=LENGTH / RATE,
                truth={name: joined(some, pause=PAUSE_S) for name, some in truth.items() if some},
                scores=live_scores(fitted, played.samples, kind=candidate.kind),
                labels=played.windows(hop),
                hop=hop,
                window=DEFAULT.window,
                rate=RATE,
            )
        )
    return found
