"""`timbre data pack`: converts a folder of pictures to memory-mapped arrays."""

from __future__ import annotations

import argparse
import shutil
from array import array
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common.errors import InputError
from common.strict_json import to_json
from features.config import PictureConfig
from features.picture import decode
from training.common.cli_helpers import bounded_int, run_command
from training.common.disk import new_folder, size_text
from training.common.errors import MaterialError
from training.common.progress import stage
from training.pictures.dataset.archive import folder_of
from training.pictures.dataset.folders import (
    Layout,
    Listing,
    Picture,
    Problem,
    empty_classes,
    listing,
    single_picture_classes,
    some,
)
from training.pictures.dataset.image_hash import THUMB, hash_pixels, map_in_threads, read_file
from training.pictures.dataset.options import (
    FOLDER_HELP,
    add_config,
    add_layout,
    config_of,
    layout_of,
)
from training.pictures.dataset.packed import COLUMNS, LAYOUT, ImageFile, write_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from features.config import Pixels
    from training.common.progress import Progress
    from training.pictures.dataset.image_hash import ImageHash

PREPARED = 16
"""Pictures per task of a thread: few, because they are in memory until written."""


class Packed(NamedTuple):
    """One decoded picture with its hashes."""

    picture: Picture
    pixels: Pixels
    facts: ImageHash


def main(argv: list[str]) -> int:
    """Run `timbre data pack` and return the exit code: 0 done, 1 error."""
    options = _parser().parse_args(argv)
    return run_command("data pack", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre data pack", description="Pack a folder of pictures into arrays."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=FOLDER_HELP)
    parser.add_argument("out", type=Path, metavar="OUT", help="the pack, a new folder")
    add_layout(parser)
    add_config(parser)
    parser.add_argument(
        "--seed",
        type=bounded_int(0),
        default=1,
        help="of the order of the rows (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=bounded_int(1, 256), default=2, help="threads (default: %(default)s)"
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    layout = layout_of(options)
    folder = folder_of(options.folder, stage, levels=len(layout.levels))
    with stage("list the pictures"):
        found = listing(folder, layout)
    for warning in warnings(found, found.layout):
        print(warning)
    with stage(f"pack {len(found.pictures):,} pictures") as progress:
        about = pack(
            found,
            options.out,
            config_of(options),
            metadata=layout.metadata,
            seed=options.seed,
            jobs=options.jobs,
            progress=progress,
        )
    print(
        f"{options.out}: {about['rows']:,} pictures of {about['classes']:,} classes, "
        f"{about['problems']:,} left out"
    )


def warnings(found: Listing, layout: Layout) -> Iterator[str]:
    """Yield warnings about a folder: empty classes, single pictures, skipped files."""
    if empty := empty_classes(found, layout):
        yield f"left out, no picture in: {some(empty)}"
    if singles := single_picture_classes(found.pictures):
        yield f"a single picture, too few for training and test: {some(singles)}"
    if found.problems:
        reasons = Counter(problem.reason for problem in found.problems)
        yield "left out: " + "; ".join(
            f"{count:,} files, {reason}" for reason, count in reasons.most_common()
        )


def pack(
    found: Listing,
    out: Path,
    config: PictureConfig,
    *,
    metadata: tuple[str, ...] = (),
    seed: int = 1,
    jobs: int = 2,
    progress: Progress,
) -> dict[str, int]:
    """Write the pack `out` with shuffled rows, atomically; return rows, classes and problems.

    metadata: names of the pictures' metadata. Raises MaterialError when `out` exists,
    the disk is too small, or no picture can be read.
    """
    order = np.random.default_rng(seed).permutation(len(found.pictures))
    shuffled = replace(found, pictures=[found.pictures[i] for i in order])
    with new_folder(out) as work:
        _check_space(work, len(shuffled.pictures) * 3 * config.height * config.width)
        made = _counted(prepared(shuffled, config, jobs=jobs), len(order), progress)
        counts = _write(shuffled, work, metadata, made, (config.height, config.width, 3))
        about = {
            "layout": LAYOUT,
            "seed": seed,
            "config": asdict(config),
            "metadata": metadata,
            **counts,
        }
        (work / "pack.json").write_text(to_json(about, indent=2) + "\n", encoding="utf-8")
    return counts


def _write(
    found: Listing,
    work: Path,
    metadata: tuple[str, ...],
    made: Iterator[Packed | Problem],
    shape: tuple[int, ...],
) -> dict[str, int]:
    problems, labels = list(found.problems), array("i")
    numbers = {label: number for number, label in enumerate(found.classes)}
    with (work / "images.npy").open("wb") as pixels, (work / "thumbs.npy").open("wb") as small:
        images, thumbs = ImageFile(pixels, shape), ImageFile(small, (THUMB, THUMB, 3))

        def rows() -> Iterator[tuple[str, ...]]:
            for one in made:
                if isinstance(one, Problem):
                    problems.append(one)
                else:
                    labels.append(numbers[one.picture.label])
                    part = found.layout.part_of(one.picture.path)
                    yield _keep(one, part, images, thumbs)

        write_table(work / "index.csv", (*COLUMNS, *metadata, "sha256", "dhash", "spread"), rows())
        images.finish()
        thumbs.finish()
    write_table(work / "problems.csv", ("path", "reason"), sorted(problems))
    if not labels:
        raise MaterialError(
            f"none of {len(problems):,} files can be read; the first: {problems[-1].reason}"
        )
    classes = _write_labels(work, np.array(labels, np.int32), found.classes)
    return {"rows": len(labels), "classes": classes, "problems": len(problems)}


def prepared(found: Listing, config: PictureConfig, *, jobs: int) -> Iterator[Packed | Problem]:
    """Yield every picture decoded, or its problem, in order."""

    def prepare(picture: Picture) -> Packed | Problem:
        try:
            data = read_file(found.root / picture.path)
            pixels = decode(data, config)
        except InputError as error:
            return Problem(picture.path, str(error))
        return Packed(picture, pixels, hash_pixels(pixels, data))

    yield from map_in_threads(prepare, found.pictures, jobs=jobs, chunk=PREPARED)


def _counted(
    made: Iterator[Packed | Problem], total: int, progress: Progress
) -> Iterator[Packed | Problem]:
    for done, one in enumerate(made, 1):
        yield one
        if done % PREPARED == 0 or done == total:
            progress(done, total)


def _keep(made: Packed, part: str, images: ImageFile, thumbs: ImageFile) -> tuple[str, ...]:
    """Write the picture, and return its index row. part: of the split, as its folders have it."""
    picture, known = made.picture, made.facts
    images.add(made.pixels)
    thumbs.add(known.thumb)
    of_file = (known.sha256, f"{known.dhash:016x}", f"{known.spread:.2f}")
    return (*picture[:3], part, *picture.metadata, *of_file)


def _write_labels(work: Path, labels: npt.NDArray[np.int32], names: list[str]) -> int:
    """Write labels.npy and the classes that occur; return their number. labels: of names."""
    there, numbers = np.unique(labels, return_inverse=True)
    np.save(work / "labels.npy", numbers.astype(np.int32))
    classes = [names[number] for number in there.tolist()]
    (work / "classes.json").write_text(
        to_json(classes, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )
    return len(classes)


def _check_space(folder: Path, needed: int) -> None:
    if needed > (free := shutil.disk_usage(folder).free):
        raise MaterialError(
            f"the pack needs {size_text(needed)}, and {folder.parent} has {size_text(free)} free: "
            "make room, or name another place"
        )
