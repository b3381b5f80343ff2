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
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from features.config import Samples
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
    shown = [(heading, list(some)) for heading, some in groups if some]
    cards = _cards([one for _, some in shown for one in some], length)
    sections = [
        (heading, Html(f'<div class="clips">{"".join(next(cards) for _ in some)}</div>'))
        for heading, some in shown
    ]
    lead = paragraph(f"{about} All are played at one loudness.")
    return page(title, sections, lead=lead, before=Html())


def _cards(heard: Sequence[Heard], length: float) -> Iterator[str]:
    """Return a card of each window, in order; a recording of several is decoded once."""
    recordings = audio.Recordings(RATE)
    size = round(length * RATE)
    cards = [""] * len(heard)
    for at, one in sorted(enumerate(heard), key=lambda item: _recording(item[1])):
        sound = recordings.read(one.clip.path, one.clip.inner)
        window = cut(sound, one.clip, one.second, samples=size, rate=RATE)
        cards[at] = _card(one, np.asarray(window, np.float32))
    return iter(cards)


def _recording(one: Heard) -> tuple[str, str]:
    return str(one.clip.path), one.clip.inner


def _card(one: Heard, samples: Samples) -> str:
    facts = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in one.facts.items()
    )
    return (
        f'<div class="clip"><img alt="spectrogram" src="{playable.picture(samples)}">'
        f'<audio controls preload="metadata" src="{playable.audio(samples, RATE)}"></audio>'
        f"<dl>{facts}</dl></div>"
    )
