"""What the networks of `instruments` learn from beside labels: a teacher, and a network before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.atomic import atomic_file
from training.common.disk import fingerprint
from training.common.errors import MaterialError
from training.common.paths import data_root
from training.pipelines.sound_model import Taught

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.common.progress import Stage
    from training.evaluation.metrics import Scores
    from training.notes.window_set import WindowSet
    from training.pipelines.instruments_recipe import InstrumentsRecipe


def plan(
    recipe: InstrumentsRecipe,
    model: str,
    windows: WindowSet,
    left_out: Sequence[str],
    excluded: Sequence[str],
    stage: Stage,
) -> list[Taught | None]:
    """Return how the network without each source learns; of "", that of all sources.

    excluded: sources that none may learn from. None for models that are no network. Raises
    MaterialError for a file that is no teacher, or no network to go on from.
    """
    if model != "network":
        return [None] * len(left_out)
    return [
        Taught(
            recipe.network,
            _targets(recipe, windows, [name for name in (source, *excluded) if name], stage),
        )
        if source
        else _last(recipe, _targets(recipe, windows, excluded, stage))
        for source in left_out
    ]


def _last(recipe: InstrumentsRecipe, soft: Scores | None) -> Taught:
    start = recipe.start
    if not start.graph:
        return Taught(recipe.network, soft)
    path = _path(recipe, start.graph)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MaterialError(f"start.graph: {path} cannot be read: {error.strerror}") from error
    return Taught(replace(recipe.network, epochs=start.epochs, rate=start.rate), soft, content)


def _targets(
    recipe: InstrumentsRecipe, windows: WindowSet, excluded: Sequence[str], stage: Stage
) -> Scores | None:
    """Return the soft targets, computed once for these windows and settings; None: no teacher."""
    if not recipe.teacher:
        return None
    from training.sound_models import teacher, teacher_network
    from training.sound_models.given_network import known

    path = _path(recipe, recipe.teacher)
    with stage("teacher: embeddings of training windows") as progress:
        table = teacher_network.embeddings(path, windows, progress=progress)
    settings = [
        *(teacher.VERSION, recipe.teacher_share, recipe.seed, sorted(excluded)),
        *(known(path), recipe.network.smoothing, recipe.network.single),
    ]
    kept = windows.folder / f"targets-{fingerprint(settings)}.npy"
    if not kept.is_file():
        with stage(f"teacher: targets without {', '.join(excluded) or 'none'}") as progress:
            found = teacher.soft_targets(
                np.asarray(table),
                windows.labels,
                windows.source,
                recipe.network,
                share=recipe.teacher_share,
                seed=recipe.seed,
                excluded=excluded,
                progress=progress,
            )
        with atomic_file(kept) as draft, draft.open("wb") as file:
            np.save(file, found)
    targets: Scores = np.load(kept)
    return targets


def _path(recipe: InstrumentsRecipe, given: str) -> Path:
    return data_root(recipe.data).resolve() / Path(given).expanduser()
