"""Other sounds for a model of one's own recordings: generated ones, and a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
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
from training.recordings.windows import audible, cut, starts

if TYPE_CHECKING:
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
    """Return generated sounds, and windows of the files below others.path, a third of them each.

    Raises CollectionError for a folder without three sounds.
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
    """Return windows in which something sounds: of every third file, from the first three on."""
    found: list[list[Samples]] = [[] for _ in SEEDS]
    used, why = 0, ""
    for path in filter(is_sound, audio.below(folder)[0]):
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
        found[used % len(found)].extend(
            np.asarray(cut(sound, clip, begin, samples=config.window, rate=RATE), np.float32)
            for begin in at.tolist()
        )
        used += 1
    if used < len(found):
        raise CollectionError(
            f"others.path: {folder} has {used} sounds that can be used{why}; three are needed: to "
            "learn from, to choose thresholds on, and to evaluate them"
        )
    rng = np.random.default_rng(recipe.seed)
    return [
        [some[at] for at in np.sort(rng.permutation(len(some))[:MOST]).tolist()] for some in found
    ]


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
