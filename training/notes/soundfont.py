"""Headers of SF2 and SF3 files: the samples of each program (SoundFont 2.04, section 7).

Fonts borrow from one another, and programs from one another inside a font. The names of the samples
reveal both.
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from training.common.errors import MaterialError
from training.common.labels import LABELS, RANGES
from training.notes.sheet_music import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_INSTRUMENT, _KEYS, _SAMPLE = 41, 43, 53
_FOREIGN = ("tuba", "trombone", "trumpet", "english horn", "sax", "piccolo", "strings")


class Zone(NamedTuple):
    """A sample (or an instrument) and the MIDI pitches that it is played for."""

    name: str
    low: int
    high: int


def program_zones(path: Path) -> dict[int, list[Zone]]:
    """Return the samples by program number (from 0) of bank 0.

    Raises MaterialError for a file that is not a sound font.
    """
    try:
        tables = dict(_chunks(path))
        names = [_name(tables["shdr"][i : i + 20]) for i in range(0, len(tables["shdr"]) - 46, 46)]
        instruments = [
            struct.unpack_from("<20xH", tables["inst"], i)[0]
            for i in range(0, len(tables["inst"]), 22)
        ]
        played = _zones(instruments, tables["ibag"], tables["igen"], _SAMPLE)
        headers = [
            struct.unpack_from("<20x3H", tables["phdr"], i)
            for i in range(0, len(tables["phdr"]), 38)
        ]
        used = _zones(
            [first for _, _, first in headers], tables["pbag"], tables["pgen"], _INSTRUMENT
        )
        return {
            program: [
                Zone(names[sample], max(low, lowest), min(high, highest))
                for instrument, lowest, highest in parts
                for sample, low, high in played[instrument]
            ]
            for (program, bank, _), parts in zip(headers, used, strict=False)
            if bank == 0
        }
    except (KeyError, struct.error, IndexError, OSError, ValueError) as error:
        raise MaterialError(f"{path} is not a sound font: {error!r}") from error


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


def _zones(
    firsts: list[int], bags: bytes, generators: bytes, wanted: int
) -> list[list[tuple[int, int, int]]]:
    """Return (value of the wanted generator, lowest key, highest key) by owner of a run of bags."""
    starts = [first for first, _ in struct.iter_unpack("<HH", bags)]
    values = list(struct.iter_unpack("<HH", generators))
    zones: list[tuple[int, int, int] | None] = []
    for begin, end in pairwise(starts):
        zone = dict(values[begin:end])
        keys = zone.get(_KEYS, 127 << 8)
        zones.append((zone[wanted], keys & 255, keys >> 8) if wanted in zone else None)
    return [[zone for zone in zones[begin:end] if zone] for begin, end in pairwise(firsts)]


def label_samples(path: Path) -> dict[str, set[str]]:
    """Return by label the names of the samples that its first program plays in its range."""
    zones = program_zones(path)
    firsts = {label: program for program, label in reversed(PROGRAMS.items())}
    found = {}
    for label, program in firsts.items():
        low, high = RANGES[label]
        found[label] = {
            zone.name for zone in zones.get(program, ()) if zone.low <= high and zone.high >= low
        }
    return {label: names for label, names in found.items() if names}


def own_pitches(path: Path, label: str) -> list[int]:
    """Return the MIDI pitches in the label's range that its program plays as that instrument.

    Not those that only another instrument's samples play, such as a cello's above a contrabass.
    """
    program = next(number for number, name in PROGRAMS.items() if name == label)
    low, high = RANGES[label]
    zones = [
        zone
        for zone in program_zones(path).get(program, ())
        if _other(zone.name.lower(), label) is None
    ]
    return [
        pitch
        for pitch in range(low, high + 1)
        if any(zone.low <= pitch <= zone.high for zone in zones)
    ]


def mislabelled_programs(path: Path) -> dict[str, str]:
    """Return the labels whose program has another instrument's samples: {"viola": "violin"}.

    At least half of the samples of such a program have another instrument's name and not its own.
    """
    found = {}
    for label, names in label_samples(path).items():
        others = Counter(filter(None, (_other(name.lower(), label) for name in names)))
        if 2 * others.total() >= len(names):
            found[label] = min(others, key=lambda other: (-others[other], other))
    return found


def _other(name: str, label: str) -> str | None:
    """Return the instrument that a sample is named after, if it is not the label."""
    if label in name.replace("english horn", ""):
        return None
    return next((other for other in (*_FOREIGN, *LABELS) if other in name), None)


def shared(one: Path, other: Path) -> float:
    """Return the share, in [0, 1], of the smaller font's sample names that the other has too."""
    a, b = (
        {_plain(n) for names in label_samples(font).values() for n in names}
        for font in (one, other)
    )
    return len(a & b) / max(1, min(len(a), len(b)))


def _plain(name: str) -> str:
    return name.lower().removesuffix("(l)").removesuffix("(r)").strip()
