"""Feature tables on disk: one folder per collection and settings, written atomically.

The folder holds `table.json` (labels, sources, kinds, rule, window_s, hop_s, rate, fingerprint, and
further facts), some of `features.npy` float32 (n, 26), `log_mel.npy` float16 (n, bands, frames) and
`samples.npy` float16 (n, window), and one value per window in `labels.npy` bool (n, labels),
`groups.npy` int32 (of sources),
`clips.npy` int32 (of lines of clips.csv), `starts.npy` float32 (seconds in the file), `parts.npy`
uint8 (0 train, 1 valid, 2 test), `copies.npy` uint8 (0 the original, k the k-th of `variants`).
"""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from common.atomic import DISK_FULL, atomic_folder
from common.strict_json import to_json
from features.config import AudioConfig
from training.recordings.collection import CollectionError
from training.recordings.split import PARTS, check_sides

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from features.config import Kind

KINDS: tuple[Kind, ...] = ("features", "log_mel", "samples")
DTYPES = {"features": np.float32, "log_mel": np.float16, "samples": np.float16}
COLUMNS = {
    "labels": np.bool_, "groups": np.int32, "clips": np.int32, "starts": np.float32,
    "parts": np.uint8,
    "copies": np.uint8,
}  # fmt: skip
CLIP_COLUMNS = ("path", "inner", "start", "end", "labels", "source", "part")
Rows: TypeAlias = npt.NDArray[np.int64]
Tensors: TypeAlias = "tuple[tuple[int, ...], Iterable[npt.NDArray[Any]]]"
"""The shape of all rows, and blocks of them that follow each other."""


@dataclass(frozen=True)
class Table:
    """An open table, memory-mapped. Row i of every array is window i."""

    path: Path
    about: dict[str, Any]
    """table.json."""
    labels: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int32]
    clips: npt.NDArray[np.int32]
    starts: npt.NDArray[np.float32]
    parts: npt.NDArray[np.uint8]
    copies: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32] | None = None
    log_mel: npt.NDArray[np.float16] | None = None
    samples: npt.NDArray[np.float16] | None = None

    def __len__(self) -> int:
        """Return the number of windows, copies included."""
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The labels by name, in the order of the columns of `labels`."""
        return tuple(self.about["labels"])

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources by name; `groups` counts them."""
        return tuple(self.about["sources"])

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of tensors in the table."""
        return tuple(kind for kind in KINDS if kind in self.about["kinds"])

    @property
    def config(self) -> AudioConfig:
        """How sound became numbers."""
        return AudioConfig(
            sample_rate=self.about["rate"],
            window=round(self.about["window_s"] * self.about["rate"]),
        )

    def tensors(self, kind: Kind) -> npt.NDArray[Any]:
        """Return the tensors of a kind. Raises CollectionError when the table has none."""
        found = getattr(self, kind)
        if found is None:
            raise CollectionError(
                f"{self.path} holds {', '.join(self.kinds)}, no {kind}: make it with --kind {kind}"
            )
        return cast("npt.NDArray[Any]", found)

    def rows(self, part: str, *, copies: bool = True) -> Rows:
        """Return the windows of train, valid or test; copies: whether augmented ones count."""
        chosen = np.asarray(self.parts) == PARTS.index(part)
        return np.flatnonzero(chosen if copies else chosen & (np.asarray(self.copies) == 0))

    def recordings(self) -> Rows:
        """Return the recording of each window as a number; clips of one file are of one."""
        with (self.path / "clips.csv").open(newline="", encoding="utf-8") as file:
            names = [(line["path"], line["inner"]) for line in csv.DictReader(file)]
        number = {name: at for at, name in enumerate(dict.fromkeys(names))}
        return np.array([number[name] for name in names], np.int64)[np.asarray(self.clips)]

    def clip(self, row: int) -> dict[str, str]:
        """Return the line of clips.csv that a window was cut from."""
        with (self.path / "clips.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))[int(self.clips[row])]


def open_table(path: Path) -> Table:
    """Open a table. Raises CollectionError when it is missing or incomplete."""
    try:
        about = json.loads((path / "table.json").read_text(encoding="utf-8"))
        names = [*COLUMNS, *about["kinds"]]
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise CollectionError(
            f"{path} is not a table: {error}; make one with `timbre data table`"
        ) from error
    if len({len(array) for array in arrays.values()}) != 1:
        raise CollectionError(f"{path} is not a table: its arrays are of different lengths")
    return Table(path, about, **arrays)


def write_table(
    path: Path,
    *,
    about: Mapping[str, Any],
    columns: Mapping[str, npt.NDArray[Any]],
    tensors: Mapping[str, Tensors],
    clips: Sequence[Sequence[Any]] = (),
) -> Table:
    """Write a table and return it opened. A table at `path` is replaced once the new one is whole.

    about: table.json but for kinds. columns: one array per name of COLUMNS. clips: lines of
    clips.csv. Raises CollectionError when the disk is full, when `path` is something else, or when
    windows of one source are on two sides.
    """
    check_sides(columns["groups"], columns["parts"], about["sources"])
    with replacing(path) as draft:
        for name, dtype in COLUMNS.items():
            write_npy(draft / f"{name}.npy", columns[name].shape, dtype, [columns[name]])
        for kind, (shape, blocks) in tensors.items():
            write_npy(draft / f"{kind}.npy", shape, DTYPES[kind], blocks)
        with (draft / "clips.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([CLIP_COLUMNS, *clips])
        text = to_json(
            {**about, "kind": next(iter(tensors)), "kinds": list(tensors)},
            indent=2,
            ensure_ascii=False,
        )
        (draft / "table.json").write_text(text + "\n", encoding="utf-8")
    return open_table(path)


def write_npy(
    path: Path, shape: tuple[int, ...], dtype: Any, blocks: Iterable[npt.NDArray[Any]]
) -> None:
    """Write an .npy file block by block, so that no more than one block is in memory.

    Plain writes: on a full disk they fail, where a memory map would end the process.
    """
    with path.open("wb") as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_2_0(file, header)
        count = 0
        for block in blocks:
            assert block.shape[1:] == shape[1:], f"rows of {block.shape[1:]}, not {shape[1:]}"
            file.write(np.ascontiguousarray(block, dtype).data)
            count += len(block)
    assert count == shape[0], f"{count} of {shape[0]} rows"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces the table `path` when the block ends without an error."""
    if path.exists() and not (path / "table.json").is_file():
        raise CollectionError(f"{path} exists already and is not a table: give another path")
    with disk_errors(path), atomic_folder(path, replace=True) as draft:
        yield draft


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk into a CollectionError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise CollectionError(
            f"no room left to write {path} ({error.strerror}): free some, or name another place; "
            f"what is computed already is kept and used again"
        ) from error
