"""Other sounds for a model of one's own recordings: generated ones, and a folder of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from heapq import heappush, heapreplace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.extract import extract_many
from features.file_kinds import is_sound
from training.common.labels import RATE
from training.evaluation import open_set
from training.notes.other_sounds import KINDS, other_sound
from training.recordings import audio
from training.recordings.collection import Clip, CollectionError
from training.recordings.duplicates import identical
from training.recordings.windows import audible, cut, starts

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from features.config import AudioConfig, Kind, Samples
    from training.evaluation.leave_one_out import Fitted
    from training.evaluation.metrics import Mask, Metrics, Scores
    from training.recordings.settings import SoundsRecipe

EACH = 40
"""Generated sounds of each kind, to learn from, again for thresholds and again to evaluate them."""
SEEDS = (10, 11, 12)
FOLDER = "of the folder"
MOST = 500
"""Windows of the folder, for each of these."""
PIECE = re.compile(
    r"[-_. ]+(?:[a-z]|\(?(?:part|pt|piece|take|clip|chunk|seg|segment|cut)[-_. ]?\d+\)?)"
    r"(?=(?:-\d+)*$)",
    re.IGNORECASE,
)
"""What pieces of one recording have at the end of their names, or before the numbers there."""
NUMBER = re.compile(r"(?:[-_. ]+\d+|[-_. ]*\(\d+\))$")
SERIES = 10
"""Files that differ in a last number alone and may be of one recording: larger series number what
has nothing in common."""


@dataclass(frozen=True)
class OtherSounds:
    """Windows that have no label: some to learn from, to choose thresholds on, and to evaluate.

    Only a model on a network given by path learns from them.
    """

    learnt: list[Samples]
    chosen_on: list[Samples]
    judged_on: list[Samples]
    kinds: list[str]
    """Of those to evaluate on."""


def other_sounds(recipe: SoundsRecipe, config: AudioConfig) -> OtherSounds:
    """Return generated sounds, and windows of the recordings below others.path, a third each.

    Raises CollectionError for a folder without three recordings.
    """
    made = [
        [other_sound(kind, config.window, rng) for kind in KINDS for _ in range(EACH)]
        for rng in map(np.random.default_rng, SEEDS)
    ]
    kinds = [kind for kind in KINDS for _ in range(EACH)]
    if recipe.others.path:
        own = _of_folder(Path(recipe.others.path).expanduser(), recipe, config)
        made = [[*some, *more] for some, more in zip(made, own, strict=True)]
        kinds += [FOLDER] * len(own[-1])
    learnt, chosen_on, judged_on = made
    return OtherSounds(learnt, chosen_on, judged_on, kinds)


def _of_folder(folder: Path, recipe: SoundsRecipe, config: AudioConfig) -> list[list[Samples]]:
    """Return windows in which something sounds: of every third recording, from the first three on.

    Of each third at most MOST are held, drawn at random.
    """
    parts = [_Drawn(np.random.default_rng([recipe.seed, number])) for number in range(len(SEEDS))]
    part_of: dict[str, int] = {}
    used, why = 0, ""
    for path, recording in recordings_of(folder).items():
        try:
            sound = audio.read(path, rate=RATE)
        except CollectionError as error:
            print(f"others.path: {path}: {error}")
            continue
        clip = Clip(path, 0.0, len(sound) / RATE, (), path.name)
        at = starts(clip, recipe.windows)
        at = at[audible(sound, at, recipe.windows.length)]
        if not len(at):
            why = f"; nothing sounds in {path.name}"
            continue
        part = parts[part_of.setdefault(recording, len(part_of) % len(parts))]
        for begin in at.tolist():
            part.add(partial(cut, sound, clip, begin, samples=config.window, rate=RATE))
        used += 1
    if len(part_of) < len(parts):
        of = f" of {len(part_of)} recordings" if len(part_of) < used else ""
        raise CollectionError(
            f"others.path: {folder} has {used} sounds{of} that can be used{why}; three are needed: "
            "to learn from, to choose thresholds on, and to judge them"
        )
    return [part.windows for part in parts]


class _Drawn:
    """Windows drawn at random from those that are added, each as likely; at most MOST are held."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Begin with none."""
        self._rng, self._added = rng, 0
        # The largest of the lowest random numbers is first, and goes when a lower one comes.
        self._held: list[tuple[float, int, Samples]] = []

    def add(self, window: Callable[[], Samples]) -> None:
        """Add a window, which is cut only where it is drawn."""
        self._added += 1
        key = -self._rng.random()
        if len(self._held) >= MOST and key <= self._held[0][0]:
            return
        # A copy, for a view would hold the whole recording.
        one = (key, self._added, np.array(window(), np.float32))
        if len(self._held) < MOST:
            heappush(self._held, one)
        else:
            heapreplace(self._held, one)

    @property
    def windows(self) -> list[Samples]:
        """Those drawn, in the order of their recordings."""
        return [window for _, _, window in sorted(self._held, key=itemgetter(1))]


def recordings_of(folder: Path) -> dict[Path, str]:
    """Return by file the recording that it is of; of identical files the first is there.

    In SOURCE/LABEL/file a source is one. Elsewhere names that differ in a last letter, or in the
    number of a part, are of one (x-A, x-part2), and so are up to SERIES that differ in a last
    number, unless fewer than three would be left; that is printed.
    """
    paths = [path for path in audio.below(folder)[0] if is_sound(path)]
    for first, *others in identical(paths):
        for other in others:
            print(f"others.path: {other}: the same sound as {first}, which is used")
            paths.remove(other)
    names = {path: path.relative_to(folder).with_suffix("").as_posix() for path in paths}
    pieces = {path: PIECE.sub("", name) for path, name in names.items()}
    series = {path: NUMBER.sub("", piece) for path, piece in pieces.items()}
    counts = Counter(dict(zip(pieces.values(), series.values(), strict=True)).values())
    numbered = {
        path: series[path] if counts[series[path]] <= SERIES else piece
        for path, piece in pieces.items()
    }
    sources = {
        path: name.split("/")[0] if name.count("/") > 1 else numbered[path]
        for path, name in names.items()
    }
    if len(set(sources.values())) >= len(SEEDS):
        return sources
    found, what = (
        (numbered, "folders") if len(set(numbered.values())) >= len(SEEDS) else (pieces, "series")
    )
    print(
        f"others.path: fewer than three {what}: their files count as recordings of their own, so"
        " that thresholds may be chosen and evaluated on sounds of one origin"
    )
    return found


@dataclass(frozen=True)
class Scored:
    """A model's scores of other sounds."""

    chosen_on: Scores
    judged_on: Scores
    kinds: list[str]

    @classmethod
    def by(cls, fitted: Fitted, sounds: OtherSounds, kind: Kind, config: AudioConfig) -> Scored:
        """Return the scores of a model that takes this kind of tensors."""
        chosen_on, judged_on = (
            fitted.scores(extract_many(some, kind=kind, config=config))
            for some in (sounds.chosen_on, sounds.judged_on)
        )
        return cls(chosen_on, judged_on, sounds.kinds)

    def raised(self, limits: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
        """Return thresholds that leave a share of the other sounds without a label."""
        raised = np.maximum(limits, open_set.floors(self.chosen_on, share))
        return np.minimum(np.ceil(1e4 * raised) / 1e4, 1).astype(np.float32)

    def compared(self, known: Scores, truth: Mask, limits: npt.NDArray[np.float32]) -> Metrics:
        """Return what each way to set thresholds costs; see `open_set.compare`."""
        return open_set.compare(
            known,
            truth,
            limits,
            chosen_on=self.chosen_on,
            judged_on=self.judged_on,
            kinds=self.kinds,
        )
