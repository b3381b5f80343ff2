#!/usr/bin/env python3
"""Print how well models of own recordings do on sources left out, by recordings of each label.

    .venv/bin/python tools/own_sounds_figures.py FOLDER --backbone FILE.onnx

FOLDER: holds SOURCE/LABEL/recordings. Each source is left out in turn, and models learn from so
many recordings of each label, drawn from the others. Top-1 per window: the forest of the recipe
`sounds` on Timbre's features, and heads on the network's embeddings.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks import measure
from benchmarks.reporting import results, tables
from features.config import DEFAULT
from models.promote import quiet_windows
from training.common.labels import RATE
from training.common.recipe import load as load_recipe
from training.data_cli.embedded import describer
from training.recordings import audio
from training.recordings.load import load
from training.recordings.settings import CollectionSpec, SoundsRecipe, WindowSpec
from training.recordings.sounding import sounding
from training.recordings.windows import cut, starts
from training.sound_models import forest
from training.sound_models.embedding import NOISE_SEED, NOISES
from training.sound_models.embedding_heads import (
    ALONE,
    DECAYS,
    Choice,
    Material,
    choose,
    fit_head,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.evaluation.metrics import Scores
    from training.recordings.collection import Collection
    from training.sound_models.embedding_heads import Array

FITTED = {
    "prototypes": Choice("prototypes"),
    "regression": Choice("regression", ALONE),
    "network": Choice("network", DECAYS[0]),
}
COLUMNS = ("majority", "forest", *FITTED, "chosen")
HEADS = {
    "what": "recordings of a label",
    "forest": "forest, 26 features",
    "prototypes": "class means",
    "regression": "logistic regression",
    "network": "network of 32 units",
    "chosen": "chosen by cross-validation",
}
PROGRAM = ".venv/bin/python tools/own_sounds_figures.py"


class Windows(NamedTuple):
    """All windows of a collection."""

    features: Array
    embeddings: Array
    label: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    recording: npt.NDArray[np.int64]
    noise: Array
    """Embeddings of windows without a label."""


def windows_of(collection: Collection, backbone: str) -> Windows:
    """Return the windows of a collection whose clips have one label each."""
    describe = [describer(file, length=2.0) for file in ("", backbone)]
    rows: dict[str, list[npt.NDArray[np.float32]]] = defaultdict(list)
    numbers, spec = [], WindowSpec()
    named = dict.fromkeys(clip.path for clip in collection.clips)
    recordings = {path: at for at, path in enumerate(named)}
    for clip in collection.clips:
        at = starts(clip, spec).tolist()
        if not at:  # too short
            continue
        sound = audio.read(clip.path, clip.inner, rate=RATE)
        cuts = [cut(sound, clip, each, samples=DEFAULT.window, rate=RATE) for each in at]
        for name, of in zip(("features", "embeddings"), describe, strict=True):
            rows[name].append(of([np.asarray(each, np.float32) for each in cuts]))
        label, source = clip.labels[0], clip.source
        one = (collection.labels.index(label), collection.sources.index(source))
        numbers += [(*one, recordings[clip.path])] * len(at)
    noise = describe[1](quiet_windows(DEFAULT, NOISES, seed=NOISE_SEED))
    found = (np.concatenate(rows[name]) for name in ("features", "embeddings"))
    label, source, recording = np.array(numbers).T
    return Windows(*found, label, source, recording, noise)


def drawn(windows: Windows, out: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the windows of so many recordings of each label, none of the source left out."""
    rng, kept = np.random.default_rng([seed, out, count]), []
    for label in np.unique(windows.label):
        there = np.unique(windows.recording[(windows.label == label) & (windows.source != out)])
        kept.append(rng.permutation(there)[:count])
    chosen = np.isin(windows.recording, np.concatenate(kept)) & (windows.source != out)
    return np.flatnonzero(chosen)


def scores_of(
    windows: Windows, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64], seed: int
) -> Iterator[Scores]:
    """Yield the scores of each model in COLUMNS."""
    recipe = load_recipe("sounds", [])
    assert isinstance(recipe, SoundsRecipe)
    truth = windows.label[:, None] == np.arange(windows.label.max() + 1)
    yield np.tile(truth[train].mean(axis=0), (len(test), 1)).astype(np.float32)
    # As many principal components as so few windows have.
    settings = replace(recipe.forest, components=min(recipe.forest.components, len(train) - 1))
    fitted = forest.fit(windows.features[train], truth[train], settings, seed=seed, jobs=1)
    yield fitted.scores(windows.features[test])
    groups = (windows.source[train], windows.recording[train])
    known = Material(windows.embeddings[train], truth[train], *groups, windows.noise)
    for choice in (*FITTED.values(), choose(known, seed)[0]):
        yield fit_head(choice, known, seed).scores(windows.embeddings[test])


def main(argv: Sequence[str]) -> None:
    """Show a row for each number of recordings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--count", type=int, action="append")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--active", action="store_true", help="windows where something sounds")
    results.add_option(parser)
    options = parser.parse_args(argv)
    results.check_option(parser, options.json)
    before = measure.machine()
    collection = load(CollectionSpec(path=str(options.folder)))
    if options.active:
        collection = sounding(collection, WindowSpec())
    windows = windows_of(collection, options.backbone)
    rows = []
    for count in options.count or (1, 2, 4, 8):
        right: dict[str, list[float]] = defaultdict(list)
        for out in np.unique(windows.source).tolist():
            for seed in range(options.draws):
                cuts = drawn(windows, out, count, seed), np.flatnonzero(windows.source == out)
                with threadpool_limits(1):
                    for name, scores in zip(COLUMNS, scores_of(windows, *cuts, seed), strict=True):
                        hits = scores.argmax(axis=1) == windows.label[cuts[1]]
                        right[name].append(float(hits.mean()))
        means = {name: round(float(np.mean(right[name])), 2) for name in COLUMNS}
        rows.append({"what": str(count), **means})
    names = {str(options.folder): "FOLDER", options.backbone: Path(options.backbone).name}
    report = results.document(
        "own-sounds",
        command=results.command_of(PROGRAM, argv, names),
        settings={"draws": options.draws, "active": options.active},
        rows=rows,
        machine=before,
        heads=HEADS,
    )
    tables.publish(options.json, report)


if __name__ == "__main__":
    main(sys.argv[1:])
