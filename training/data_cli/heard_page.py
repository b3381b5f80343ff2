"""A page of windows of recordings to listen to, in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common.page import Html, escape, page, paragraph
from training.common.labels import RATE
from training.recordings import audio
from training.recordings.windows import cut
from training.reporting import playable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from training.recordings.collection import Clip


class Heard(NamedTuple):
    """A window of a clip, and what is said of it."""

    clip: Clip
    second: float
    facts: Mapping[str, str]


def heard_page(
    title: str, about: str, groups: Iterable[tuple[str, Sequence[Heard]]], *, length: float
) -> str:
    """Return a page with a section of windows for each group. length: of a window, in seconds."""
    sections = [
        (heading, Html(f'<div class="clips">{"".join(_card(one, length) for one in some)}</div>'))
        for heading, some in groups
        if some
    ]
    lead = paragraph(f"{about} All are played at one loudness.")
    return page(title, sections, lead=lead, before=Html())


def _card(one: Heard, length: float) -> str:
    sound = audio.read(one.clip.path, one.clip.inner, rate=RATE)
    samples = np.asarray(
        cut(sound, one.clip, one.second, samples=round(length * RATE), rate=RATE), np.float32
    )
    facts = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in one.facts.items()
    )
    return (
        f'<div class="clip"><img alt="spectrogram" src="{playable.picture(samples)}">'
        f'<audio controls preload="metadata" src="{playable.audio(samples, RATE)}"></audio>'
        f"<dl>{facts}</dl></div>"
    )
