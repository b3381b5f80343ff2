"""Which samples a sound font plays for which program: the headers of SF2 and SF3 files (SoundFont 2.04, section 7).

Fonts borrow from one another, and programs from one another inside a font. The names of the samples tell both.
"""

from __future__ import annotations

import mmap
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from training.material import MaterialError
from training.scores import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_INSTRUMENT, _SAMPLE = 41, 53
Records: TypeAlias = list[tuple[int, ...]]


def program_samples(path: Path) -> dict[int, set[str]]:
    """Return the names of the samples, by program number (from 0), of bank 0. Raises MaterialError on other files."""
    try:
        tables = dict(_chunks(path))
        names = [_name(tables["shdr"][i : i + 20]) for i in range(0, len(tables["shdr"]) - 46, 46)]
        instruments = [struct.unpack_from("<20xH", tables["inst"], i)[0] for i in range(0, len(tables["inst"]), 22)]
        played = _generators(instruments, tables["ibag"], tables["igen"], _SAMPLE)
        headers = [struct.unpack_from("<20x3H", tables["phdr"], i) for i in range(0, len(tables["phdr"]), 38)]
        used = _generators([first for _, _, first in headers], tables["pbag"], tables["pgen"], _INSTRUMENT)
    except (KeyError, struct.error, IndexError, OSError, ValueError) as error:
        raise MaterialError(f"{path} is no sound font: {error!r}") from error
    return {
        program: {names[sample] for instrument in parts for sample in played[instrument]}
        for (program, bank, _), parts in zip(headers, used, strict=False)
        if bank == 0
    }


def _name(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("latin1").strip()


def _chunks(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the tables of the `pdta` list: the only part of the file that is read."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
            raise ValueError("it does not begin with RIFF .... sfbk")
        begin = 12
        while data[begin : begin + 4] == b"LIST" and data[begin + 8 : begin + 12] != b"pdta":
            begin += 8 + struct.unpack_from("<I", data, begin + 4)[0]
        end = begin + 8 + struct.unpack_from("<I", data, begin + 4)[0]
        begin += 12
        while begin < end:
            size = struct.unpack_from("<I", data, begin + 4)[0]
            yield data[begin : begin + 4].decode("ascii"), data[begin + 8 : begin + 8 + size]
            begin += 8 + size + size % 2


def _generators(firsts: list[int], bags: bytes, generators: bytes, wanted: int) -> list[list[int]]:
    """Return, for each owner of a run of bags, the amounts of its generators of the wanted kind."""
    starts = [first for first, _ in struct.iter_unpack("<HH", bags)]
    values = list(struct.iter_unpack("<HH", generators))
    runs = [range(starts[begin], starts[end]) for begin, end in pairwise(firsts)]
    return [[values[i][1] for i in run if values[i][0] == wanted] for run in runs]


def label_samples(path: Path) -> dict[str, set[str]]:
    """Return the names of the samples that a font plays for each label's own (first) program."""
    samples = program_samples(path)
    firsts = {label: program for program, label in reversed(PROGRAMS.items())}
    return {label: samples[program] for label, program in firsts.items() if samples.get(program)}


def liars(path: Path) -> dict[str, str]:
    """Return the labels whose program plays the samples of another label, and which: {"viola": "violin"}.

    A program lies when most of its samples are another label's and carry that label's name, not its own.
    """
    samples = label_samples(path)
    found = {}
    for label, names in samples.items():
        for other, others in samples.items():
            borrowed = [n for n in names & others if other in n.lower() and label not in n.lower()]
            if other != label and 2 * len(borrowed) > len(names):
                found[label] = other
    return found


def shared(one: Path, other: Path) -> float:
    """Return how much of the smaller font's instruments is also in the other: names of samples, in [0, 1]."""
    a, b = ({_plain(n) for names in label_samples(font).values() for n in names} for font in (one, other))
    return len(a & b) / max(1, min(len(a), len(b)))


def _plain(name: str) -> str:
    return name.lower().removesuffix("(l)").removesuffix("(r)").strip()
