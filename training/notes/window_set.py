"""Labelled 2-s windows on disk, drawn from the libraries of several sources.

The kinds: `note` one note as it is; `solo` a phrase of one instrument; `mix` two to five
instruments; `score` the same from written scores; `silence` and `noise` without any label. The rule
for labels is in `training.notes.mixtures`.

A window has one source, or several joined by "+" where a mixture goes across libraries.
`WindowSet.held_out` keeps every such window out of the training part when one of its sources is
held out.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from training.common.disk import array_on_disk, cache_folder, content_of, fingerprint
from training.common.errors import MaterialError
from training.common.labels import LABELS
from training.notes import noises, sheet_music
from training.notes.augment import Augmentation, apply, draw
from training.notes.ensembles import take_mix, take_note, take_score, take_solo
from training.notes.library import Library, files_of, library_of_folder
from training.notes.mixtures import PRE_ROLL, WINDOW
from training.notes.render import INSTALL, families, library_of_fonts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.config import Samples
    from training.common.progress import Progress
    from training.notes.sheet_music import Score

Mask: TypeAlias = npt.NDArray[np.bool_]
# Raised whenever the same settings would give other windows.
VERSION = 2
_CHUNK = 128


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to draw. Counts are windows."""

    folders: tuple[Path, ...] = ()
    """Folders of LABEL/recordings; the folder's name is the source, so folders of one name are one
    source."""
    fonts: tuple[Path, ...] = ()
    """Sound fonts; those that share samples make one source."""
    joined: Mapping[str, str] = field(default_factory=dict)
    """Fonts of the source of a folder: the file's name without its ending to the folder's name."""
    scores: tuple[Path, ...] = ()
    """MusicXML or MIDI files, or folders of them."""
    note: int = 150
    """Windows of single notes, per source and label."""
    solo: int = 600
    """Windows of phrases, per source and label."""
    mix: int = 2500
    """Mixtures, per source of several labels."""
    score: int = 1500
    """Mixtures from scores, per source; none without scores."""
    across: int = 6000
    """Mixtures across two or more sources, half of them from scores if there are any."""
    silence: int = 600
    """Windows of silence, per family of noises."""
    noise: int = 2500
    """Windows of noise, per family of noises."""
    augment: bool = True
    """Whether windows pass rooms, microphones, noise and codecs. Without: only the level varies."""


class Task(NamedTuple):
    """One window to draw."""

    kind: str
    source: str
    label: str


@dataclass(frozen=True)
class WindowSet:
    """Windows and what they are. Window i is samples[i]."""

    samples: npt.NDArray[np.float16]
    """(n, 44100), read from disk when touched; float16 keeps 66 dB below every sample."""
    labels: Mask
    """(n, 11), in the order of LABELS."""
    source: npt.NDArray[np.str_]
    """(n,)"""
    kind: npt.NDArray[np.str_]
    """(n,), of note, solo, mix, score, silence, noise."""
    folder: Path
    fingerprint: str

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.labels)

    def read(self, index: npt.NDArray[Any] | list[int] | slice) -> npt.NDArray[np.float32]:
        """Return some windows as float32 (k, 44100), in memory."""
        return np.asarray(self.samples[index], np.float32)

    @property
    def sources(self) -> list[str]:
        """The sources of windows that have only one, noise families included, sorted."""
        return sorted({source for source in self.source.tolist() if "+" not in source})

    def held_out(self, *sources: str) -> tuple[Mask, Mask]:
        """Return masks (train, test): windows without these sources, windows of these alone."""
        touched = np.array(
            [bool(set(sources) & set(source.split("+"))) for source in self.source.tolist()]
        )
        pure = np.array([set(source.split("+")) <= set(sources) for source in self.source.tolist()])
        return ~touched, touched & pure


@dataclass(frozen=True)
class Material:
    """The opened libraries by source, and the scores."""

    libraries: dict[str, Library]
    scores: list[Score]
    fingerprint: str = field(default="")


def build(
    spec: Spec,
    out_dir: Path,
    *,
    seed: int,
    jobs: int = 2,
    progress: Progress | None = None,
) -> WindowSet:
    """Return the windows of `spec`, drawn at the first call and kept in `out_dir`.

    The same spec, material and seed give the same windows whatever `jobs` is. `progress(done,
    total)` is called now and then. Raises MaterialError when there is nothing to draw from.
    """
    material = gather(spec, out_dir / "material", jobs=jobs)
    tasks = plan(spec, material)
    settings = [VERSION, seed, spec.augment, material.fingerprint, tasks]
    folder = out_dir / f"windows-{fingerprint(settings)}"
    if not folder.is_dir():
        with cache_folder(folder) as work:
            _fill(
                work,
                tasks,
                spec,
                material,
                seed=seed,
                jobs=jobs,
                progress=progress,
                cache=out_dir / "material",
            )
    return open_windows(folder)


def open_windows(folder: Path) -> WindowSet:
    """Open windows that were built before."""
    with np.load(folder / "table.npz") as table:
        columns = {key: table[key] for key in ("labels", "source", "kind")}
    samples = np.load(folder / "samples.npy", mmap_mode="r")
    return WindowSet(
        samples, **columns, folder=folder, fingerprint=folder.name.removeprefix("windows-")
    )


def gather(spec: Spec, cache: Path, *, jobs: int = 1) -> Material:
    """Return the libraries and scores of a spec, decoded and rendered at the first call."""
    folders, fonts = _by_name(spec.folders), families(spec.fonts, spec.joined)
    both = folders.keys() & fonts.keys()
    libraries = [
        library_of_fonts(name, fonts[name], cache, folders=some, jobs=jobs)
        if name in both
        else library_of_folder(some[0], cache, *some[1:])
        for name, some in folders.items()
    ]
    libraries += [
        library_of_fonts(name, some, cache, jobs=jobs)
        for name, some in fonts.items()
        if name not in both
    ]
    if not libraries:
        raise MaterialError(
            f"nothing to train on: give folders of recordings, or sound fonts: {INSTALL}"
        )
    written = sheet_music.files_of(spec.scores)
    shape = [[lib.source, len(lib.audio), lib.counts()] for lib in libraries]
    content = [[name, files_of(some)] for name, some in folders.items()]
    content += [[name, [content_of(font) for font in some]] for name, some in fonts.items()]
    return Material(
        {lib.source: lib for lib in libraries},
        sheet_music.read_all(written, cache),
        fingerprint([shape, sheet_music.contents_of(written), content]),
    )


def _by_name(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the folders grouped by their name, which is their source."""
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        groups.setdefault(folder.name, []).append(folder)
    return groups


def plan(spec: Spec, material: Material) -> list[Task]:
    """Return every window to draw, in an order that depends on the spec and the material alone."""
    tasks = []
    for source, library in material.libraries.items():
        for label in library.labels:
            tasks += [Task("note", source, label)] * spec.note + [
                Task("solo", source, label)
            ] * spec.solo
        several = len(library.labels) > 1
        tasks += [Task("mix", source, "")] * (spec.mix if several else 0)
        tasks += [Task("score", source, "")] * (spec.score if several and material.scores else 0)
    tasks += _across(spec, material)
    for family in noises.FAMILIES:
        tasks += [Task("silence", f"noise-{family}", "")] * spec.silence
        tasks += [Task("noise", f"noise-{family}", "")] * spec.noise
    return tasks


def _across(spec: Spec, material: Material) -> list[Task]:
    names = list(material.libraries)
    pairs = [f"{a}+{b}" for i, a in enumerate(names) for b in names[i + 1 :]]
    kinds = ("mix", "score") if material.scores else ("mix",)
    return [
        Task(kinds[i % len(kinds)], pairs[i // len(kinds) % len(pairs)], "")
        for i in range(spec.across)
        if pairs
    ]


def draw_window(
    task: Task, material: Material, rng: np.random.Generator, *, augment: bool
) -> tuple[Samples, Mask]:
    """Return one window, float32 (44100,), and its labels, bool (11,)."""
    augmentation = draw(rng) if augment else Augmentation(peak_db=float(-rng.exponential(6.0)))
    if task.kind in ("silence", "noise"):
        return _draw_noise(task, augmentation, rng), np.zeros(len(LABELS), np.bool_)
    libraries = [material.libraries[name] for name in task.source.split("+")]
    if task.kind == "mix":
        take = take_mix(libraries, rng)
    elif task.kind == "score":
        take = take_score(libraries, material.scores, rng)
    elif task.kind == "solo":
        take = take_solo(libraries[0], task.label, rng)
    else:
        take = take_note(libraries[0], task.label, rng, exact=not augment)
    return apply(take.samples, augmentation), take.labels


def _draw_noise(task: Task, augmentation: Augmentation, rng: np.random.Generator) -> Samples:
    if task.kind == "silence":
        return noises.silence(rng)
    sound = noises.noise(task.source.removeprefix("noise-"), rng)
    return apply(np.concatenate([sound[-PRE_ROLL:], sound]), augmentation)


def _fill(
    folder: Path,
    tasks: Sequence[Task],
    spec: Spec,
    material: Material,
    *,
    seed: int,
    jobs: int,
    progress: Progress | None,
    cache: Path,
) -> None:
    """Draw all windows into samples.npy and table.npz, in chunks that any process may take."""
    path = folder / "samples.npy"
    array_on_disk(path, np.float16, (len(tasks), WINDOW))
    labels = np.zeros((len(tasks), len(LABELS)), np.bool_)
    starts = range(0, len(tasks), _CHUNK)
    chunks = [tasks[start : start + _CHUNK] for start in starts]
    with ExitStack() as stack:
        if min(jobs, len(chunks)) > 1:
            pool = stack.enter_context(
                ProcessPoolExecutor(
                    jobs, multiprocessing.get_context("spawn"), initializer=_one_thread
                )
            )
            masks = pool.map(partial(_open_and_draw, path, spec, cache, seed), starts, chunks)
        else:
            masks = map(partial(_draw_chunk, path, spec, material, seed), starts, chunks)
        for start, drawn in zip(starts, masks, strict=True):
            labels[start : start + len(drawn)] = drawn
            if progress:
                progress(start + len(drawn), len(tasks))
    source, kind = (
        np.array([task.source for task in tasks]),
        np.array([task.kind for task in tasks]),
    )
    np.savez(folder / "table.npz", labels=labels, source=source, kind=kind)


_opened: dict[str, Material] = {}


def _open_and_draw(
    path: Path, spec: Spec, cache: Path, seed: int, start: int, tasks: Sequence[Task]
) -> Mask:
    material = _opened.get(str(cache)) or _opened.setdefault(str(cache), gather(spec, cache))
    return _draw_chunk(path, spec, material, seed, start, tasks)


def _draw_chunk(
    path: Path, spec: Spec, material: Material, seed: int, start: int, tasks: Sequence[Task]
) -> Mask:
    samples = np.lib.format.open_memmap(path, "r+")
    labels = np.zeros((len(tasks), len(LABELS)), np.bool_)
    for i, task in enumerate(tasks):
        rng = np.random.default_rng([seed, start + i])
        samples[start + i], labels[i] = draw_window(task, material, rng, augment=spec.augment)
    return labels


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
