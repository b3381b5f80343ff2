"""`timbre data split`: splits pictures so that parts share no source and no near-duplicate."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from common.strict_json import to_json
from training.common.cli_helpers import bounded_int, run_command
from training.common.disk import new_folder
from training.common.errors import MaterialError
from training.common.progress import stage
from training.pictures.dataset import image_hash, near_duplicates
from training.pictures.dataset.archive import folder_of
from training.pictures.dataset.folders import listing, some
from training.pictures.dataset.histogram import draw, text
from training.pictures.dataset.options import FOLDER_HELP, add_distance, add_layout, layout_of
from training.pictures.dataset.packed import is_pack, open_pack, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.pictures.dataset.folders import Picture

NAMES = {2: ("train", "test"), 3: ("train", "valid", "test")}
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The part of each picture."""

    pictures: list[Picture]
    group: Index
    """Group of each picture; a group is never split."""
    part: Index
    """Part of each picture, an index of `names`."""
    names: tuple[str, ...]
    classes: list[str]

    def counts(self) -> npt.NDArray[np.int64]:
        """Return the number of pictures, shape (classes, parts)."""
        numbers = {label: i for i, label in enumerate(self.classes)}
        labels = np.array([numbers[picture.label] for picture in self.pictures])
        table = np.zeros((len(self.classes), len(self.names)), np.int64)
        np.add.at(table, (labels, self.part), 1)
        return table


def main(argv: list[str]) -> int:
    """Run `timbre data split` on pictures and return the exit code: 0 done, 1 error."""
    options = _parser().parse_args(argv)
    return run_command("data split", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre data split", description="Split pictures into parts."
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help=f"a pack, or a folder that {FOLDER_HELP}",
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="a new folder for the lists and histograms"
    )
    parser.add_argument(
        "--ratios", default="70/15/15", help="train/valid/test or train/test (default: %(default)s)"
    )
    parser.add_argument("--seed", type=bounded_int(0), default=1, help="default: %(default)s")
    add_distance(parser)
    parser.add_argument(
        "--jobs", type=bounded_int(1, 256), default=2, help="threads (default: %(default)s)"
    )
    add_layout(parser)
    return parser


def _run(options: argparse.Namespace) -> None:
    ratios = ratios_of(options.ratios)
    pictures, table = gather(options)
    with stage("find near-duplicates"):
        sources = [picture.source for picture in pictures]
        group = near_duplicates.groups(table, sources, distance=options.distance)
    names = NAMES[len(ratios)]
    classes = sorted({picture.label for picture in pictures})
    part = assign([picture.label for picture in pictures], group, ratios, seed=options.seed)
    split = Split(pictures, group, part, names, classes)
    write(split, options.out, ratios=ratios, seed=options.seed)
    print(text(split.counts(), classes, names))
    for line in remarks(split, ratios):
        print(line)


def gather(options: argparse.Namespace) -> tuple[list[Picture], image_hash.ImageHashes]:
    """Return the readable pictures of a pack or a folder, and their hashes."""
    if is_pack(options.folder):
        pack = open_pack(options.folder)
        return pack.pictures, pack.table
    layout = layout_of(options)
    found = listing(folder_of(options.folder, stage, levels=len(layout.levels)), layout)
    with stage(f"hash {len(found.pictures):,} pictures") as progress:
        paths = [picture.path for picture in found.pictures]
        table = image_hash.hash_files(found.root, paths, jobs=options.jobs, progress=progress)
    if not len(table.rows):
        raise MaterialError(
            f"none of {len(paths):,} pictures can be read; the first: {table.problems[0].reason}"
        )
    if table.problems:
        print(f"left out, cannot be read: {some([problem.path for problem in table.problems])}")
    return [found.pictures[row] for row in table.rows], table


def ratios_of(text: str) -> tuple[float, ...]:
    """Return the parts' shares, normalised to a sum of 1. Raises MaterialError."""
    try:
        ratios = np.array([float(number) for number in text.split("/")])
    except ValueError:
        ratios = np.zeros(0)
    if len(ratios) not in NAMES or not np.all(np.isfinite(ratios) & (ratios > 0)):
        raise MaterialError(
            f"ratios {text!r}: give two or three numbers above 0, such as 90/10 or 56/18/25"
        )
    return tuple((ratios / ratios.sum()).tolist())


def assign(labels: Sequence[str], group: Index, ratios: Sequence[float], *, seed: int) -> Index:
    """Return the part of each picture: groups stay together, classes are split by the ratios.

    Large groups first, each to the part that lacks most of its classes, so that small groups even
    out. Classes too small for a picture in each part keep the ratios within one picture, and as a
    whole.
    """
    numbers = {label: i for i, label in enumerate(sorted(set(labels)))}
    label = np.array([numbers[name] for name in labels])
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    rng = np.random.default_rng(seed)
    members = [members[i] for i in rng.permutation(len(members))]
    members.sort(key=len, reverse=True)
    lacking = np.bincount(label)[:, None] * np.array(ratios)
    overall, whole = lacking.sum(axis=0), lacking.sum(axis=0)
    small, begun = lacking.min(axis=1) < 1, np.zeros(len(lacking), bool)
    part = np.zeros(len(label), np.int64)
    for rows in members:
        classes, counts = np.unique(label[rows], return_counts=True)
        wanted = (lacking[classes] * counts[:, None]).sum(axis=0) / len(rows)
        # Among parts that lack a class equally, the one that lacks most pictures.
        wanted += 1e-6 * overall
        fair = (wanted > wanted.max() - 1) & (overall >= len(rows) / 2)
        if (small & begun)[classes].all() and fair.any():
            wanted = np.where(fair, overall / whole, -np.inf)
        chosen = int(np.argmax(wanted))
        begun[classes] = True
        part[rows] = chosen
        lacking[classes, chosen] -= counts
        overall[chosen] -= len(rows)
    return part


def write(split: Split, out: Path, *, ratios: Sequence[float], seed: int) -> None:
    """Write split.csv, the rows of each part as NAME.npy, split.json and histogram.png."""
    counts = split.counts()
    with new_folder(out) as work:
        rows = zip(split.pictures, split.part.tolist(), split.group.tolist(), strict=True)
        lines = (
            (picture.path, picture.label, split.names[part], group) for picture, part, group in rows
        )
        write_table(work / "split.csv", ("path", "label", "part", "group"), lines)
        for number, name in enumerate(split.names):
            np.save(work / f"{name}.npy", np.flatnonzero(split.part == number))
        draw(counts, split.classes, split.names, work / "histogram.png")
        about = {
            "ratios": [round(ratio, 6) for ratio in ratios],
            "seed": seed,
            "pictures": dict(zip(split.names, counts.sum(axis=0).tolist(), strict=True)),
            "groups": len(np.unique(split.group)),
        }
        (work / "split.json").write_text(to_json(about, indent=2) + "\n", encoding="utf-8")


def remarks(split: Split, ratios: Sequence[float]) -> list[str]:
    """Return remarks on the split: sets kept together, missing classes, missed ratios."""
    counts = split.counts()
    sizes = np.bincount(split.group)
    sets, largest = int((sizes > 1).sum()), int(sizes.max())
    lines = [f"kept together: sets of 2 to {largest:,} pictures, {sets:,} in all"] if sets else []
    for number, name in enumerate(split.names):
        if absent := [split.classes[i] for i in np.flatnonzero(counts[:, number] == 0)]:
            lines.append(f"no picture in {name} of: {some(absent)}")
        share = counts[:, number].sum() / counts.sum()
        if abs(share - ratios[number]) > 0.02:
            why = "sets are too large, or classes too small, to split"
            lines.append(f"{name} has {share:.0%} instead of {ratios[number]:.0%}: {why}")
    return lines
