"""MusicNet's npz form, which holds pickles, read without running any function that a pickle names.

Each member ID.npy is an object array of two: the samples, and an `intervaltree.IntervalTree` whose
data are (instrument, note, measure, beat, note value). A pickle may name any function to be called;
here the few names that these files need are mapped to harmless classes, and any other name is
rejected.
"""

from __future__ import annotations

import pickle
import zipfile
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.recordings.collection import CollectionError

if TYPE_CHECKING:
    from pathlib import Path

    from features.config import Samples

NUMBERS = frozenset("fiu")
"""Kinds of numpy's types that are nothing but numbers."""


def names(path: Path) -> list[str]:
    """Return the recordings of the file, sorted. Raises CollectionError for other files."""
    try:
        with zipfile.ZipFile(path) as file:
            return sorted(
                name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")
            )
    except (OSError, zipfile.BadZipFile) as error:
        raise CollectionError(f"{path} cannot be read as npz: {error}") from error


def recording(path: Path, name: str) -> tuple[Samples, list[tuple[int, int, int]]]:
    """Return the samples at 44,100 Hz, and start, end (samples) and instrument of every note.

    Raises CollectionError when the member is anything but a recording of MusicNet.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            _skip_header(file)
            samples, tree = _Careful(file, encoding="latin1").load().values()
            return samples.numbers().astype(np.float32), [_note(one) for one in tree.intervals]
    except CollectionError:
        raise
    # A damaged pickle fails in as many ways as there are instructions.
    except Exception as error:
        raise CollectionError(f"not a recording of MusicNet: {error!r}") from error


def _note(one: _Interval) -> tuple[int, int, int]:
    return int(one.begin), int(one.end), int(one.data[0])


def _skip_header(file: IO[bytes]) -> None:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    if dtype.kind != "O" or shape != (2,):
        raise CollectionError(
            f"an array of {dtype}, shape {shape}, where samples and labels were expected"
        )


class _Array:
    """Replaces numpy's ndarray: keeps its state, and gives numbers or a list of two."""

    def __init__(self, *_: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def values(self) -> list[Any]:
        content = self._state[-1]
        if not isinstance(content, list) or len(content) != 2:
            raise CollectionError("samples and labels were expected")
        return content

    def numbers(self) -> Samples:
        *_, kind, _, content = self._state
        data = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(data, kind.numpy())


class _Type:
    """Replaces numpy's dtype, of plain numbers only."""

    def __init__(self, code: str, *_: object) -> None:
        self._code, self._order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = state[1] if state[1] in {"<", ">", "="} else "="

    def numpy(self) -> np.dtype[Any]:
        if self._code[:1] not in NUMBERS or not self._code[1:].isdigit():
            raise CollectionError(f"samples of type {self._code!r}")
        return np.dtype(self._order + self._code)


class _Interval(NamedTuple):
    begin: int
    end: int
    data: tuple[Any, ...]


class _Tree:
    def __init__(self, intervals: list[_Interval]) -> None:
        self.intervals = intervals


def _array(*_: object) -> _Array:
    return _Array()


def _scalar(kind: _Type, content: str | bytes) -> Any:
    data = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(data, kind.numpy())[0]


def _encode(text: str, _coding: str) -> bytes:
    return text.encode("latin1")


_STAND_INS = {
    ("multiarray", "_reconstruct"): _array,
    ("multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("intervaltree", "IntervalTree"): _Tree,
    ("interval", "Interval"): _Interval,
    ("_codecs", "encode"): _encode,
}


class _Careful(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = _STAND_INS.get((module.rpartition(".")[2], name))
        if known is None or module.partition(".")[0] not in {"numpy", "intervaltree", "_codecs"}:
            raise CollectionError(
                f"the pickle names {module}.{name}, which no recording of MusicNet needs: rejected"
            )
        return known
