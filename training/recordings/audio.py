"""Samples of clips: sound files of all kinds that serving reads, HDF5 and npz members."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from common.atomic import write_atomic
from common.errors import InputError
from common.folders import SPECIAL, is_hidden, is_special, without_notes
from features.containers import kinds
from features.decode import decode, seconds_of_bytes
from features.file_kinds import first_bytes
from features.resample import resample
from training.common.labels import RATE
from training.recordings.collection import CollectionError

if TYPE_CHECKING:
    from features.config import Samples

MAX_SECONDS = 7200.0
"""Of one file: what is decoded at a time is held in memory."""
MUSICNET_RATE = 44_100
_STATED = (kinds.WAV, kinds.FLAC, kinds.AIFF, kinds.AU, kinds.CAF, kinds.W64)
CONTAINERS = {".h5", ".hdf5", ".npz"}


def below(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the files below a folder and its empty folders, sorted.

    Links are followed; names that begin with a dot are ignored.
    """
    files, empty, seen = [], [], set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else [name for name in folders if not is_hidden(name)]
        shown = without_notes(name for name in names if not is_hidden(name))
        here = [Path(folder, name) for name in shown if real not in seen]
        empty += [] if folders or names or real in seen else [Path(folder)]
        files += here
        seen.add(real)
    return sorted(files), sorted(empty)


def seconds_of(path: Path) -> float:
    """Return the length of a sound file in seconds, by its header where that is sure.

    Raises CollectionError for a file that is not sound, or is too long.
    """
    _check_file(path)
    try:
        seconds = _stated_seconds(path) or seconds_of_bytes(path.read_bytes())
    except (InputError, OSError) as error:
        raise CollectionError(_why(path, error)) from error
    if not seconds:
        raise CollectionError("holds no sound")
    if seconds > MAX_SECONDS:
        raise CollectionError(
            f"{seconds:.0f} s long: at most {MAX_SECONDS:.0f} s; cut it into parts"
        )
    return seconds


def _check_file(path: Path) -> None:
    if is_special(path):
        raise CollectionError(SPECIAL)
    if str(path).encode(errors="replace") != os.fsencode(path):
        raise CollectionError("its path is not UTF-8: rename it")


def _stated_seconds(path: Path) -> float | None:
    """Return the length in a header; None where it may be an estimate, unknown or of a part."""
    # Not of other bytes: libsndfile takes them for MP3, and mpg123 writes to the terminal.
    if kinds.by_magic(first_bytes(path)) not in _STATED:
        return None
    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError:
        return None
    if info.format in ("MPEG", "MP3") or not 0 < info.frames < 2**40:
        return None
    return float(info.frames / info.samplerate)


def _why(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    if not path.stat().st_size:
        return "the file is empty"
    return f"cannot be read as sound: {error}"


def read(path: Path, inner: str = "", *, rate: int) -> Samples:
    """Return a whole recording, mono at `rate` Hz.

    Raises CollectionError, with the reason only, when it cannot be read.
    """
    try:
        if path.is_dir():
            # Windows of training.notes.window_set, which are at RATE already.
            return resample(
                np.load(path / "samples.npy", mmap_mode="r")[int(inner)].astype(np.float32),
                RATE,
                rate,
            )
        if path.suffix.lower() not in CONTAINERS:
            return decode(
                path.read_bytes(),
                sample_rate=rate,
                max_seconds=MAX_SECONDS,
                max_samples=None,
                ffmpeg=True,
            )
        return resample(_inside(path, inner), MUSICNET_RATE, rate)
    except (InputError, OSError, KeyError, ValueError) as error:
        raise CollectionError(f"cannot be read as sound: {error}") from error


class Recordings:
    """Reads recordings at one rate, and holds the last one, or the reason why it cannot be read.

    Clips of one file follow each other in a collection: it is decoded once for all of them.
    """

    def __init__(self, rate: int) -> None:
        """rate: in Hz."""
        self._rate = rate
        self._of: tuple[Path, str] | None = None
        self._found: Samples | str = ""

    def read(self, path: Path, inner: str = "") -> Samples:
        """Return a whole recording, mono. Raises CollectionError as `read` does."""
        if self._of != (path, inner):
            # No longer held while the next one is decoded: either may have two hours.
            self._of, self._found = None, ""
            try:
                self._found = read(path, inner, rate=self._rate)
            except CollectionError as error:
                self._found = str(error)
            self._of = path, inner
        if isinstance(self._found, str):
            raise CollectionError(self._found)
        return self._found


def _inside(path: Path, inner: str) -> Samples:
    if path.suffix.lower() == ".npz":
        from training.recordings.safe_pickle import recording

        return recording(path, inner)[0]
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(file[inner]["data"], np.float32)


def write_wav(path: Path, samples: Samples, *, rate: int) -> None:
    """Write mono samples in [-1, 1] as a 16-bit WAV file, whole or not at all."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    write_atomic(path, buffer.getvalue())
