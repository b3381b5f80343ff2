#!/usr/bin/env python3
"""Write the notes of Debian's freepats as sound files that a model can be evaluated on.

    apt-get download freepats && dpkg-deb --extract freepats_*.deb ROOT
    .venv/bin/python tools/freepats_notes.py ROOT/usr/share/midi/freepats FOLDER

FOLDER/LABEL/PITCH_PROGRAM_SAMPLE.wav: loops are played to 2.5 s, pianos and harpsichords fading.
freepats is under the GPL: for evaluation only. Train and ship nothing of it.
"""

from __future__ import annotations

import argparse
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import soundfile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.config import Samples

PROGRAMS = {
    "000_Acoustic_Grand_Piano": "piano",
    "001_Acoustic_Brite_Piano": "piano",
    "006_Harpsichord": "harpsichord",
    "040_Violin": "violin",
    "042_Cello": "cello",
    "060_French_Horn": "horn",
    "068_Oboe": "oboe",
    "070_Bassoon": "bassoon",
    "071_Clarinet": "clarinet",
    "073_Flute": "flute",
}
FADING = ("piano", "harpsichord")
SECONDS, FADE_S, DECAY = 2.5, 0.1, 2.0
"""Of a looped note, of its end, and per second of those that fade."""
MAGIC = b"GF1PATCH110\0"
HEADER, INSTRUMENT, LAYER, SAMPLE = 129, 63, 47, 96
"""Bytes before the samples, and of the header of each."""
WIDE, UNSIGNED, LOOPED, BOTH_WAYS = 1, 2, 4, 8
"""Bits of a sample's modes."""
PITCHES = (20, 110)


class PatchNote(NamedTuple):
    """A sample of a patch, its loop played."""

    samples: Samples
    rate: int
    pitch: float
    """MIDI number."""


def notes(patch: bytes, *, fades: bool) -> Iterator[PatchNote]:
    """Yield the samples of a Gravis UltraSound patch. Raises ValueError for other bytes."""
    if not patch.startswith(MAGIC):
        raise ValueError(f"begins with {patch[:12]!r}, not {MAGIC!r}: no patch")
    count = patch[HEADER + INSTRUMENT + 6]
    at = HEADER + INSTRUMENT + LAYER
    for _ in range(count):
        head = patch[at : at + SAMPLE]
        if len(head) < SAMPLE:
            raise ValueError(f"ends within the header of a sample, at byte {at}")
        size, begin, end = struct.unpack_from("<3I", head, 8)
        (rate,) = struct.unpack_from("<H", head, 20)
        (milli_hertz,) = struct.unpack_from("<I", head, 30)
        modes, raw = head[55], patch[at + SAMPLE : at + SAMPLE + size]
        if len(raw) < size:
            raise ValueError(f"ends within a sample, at byte {len(patch)}")
        at += SAMPLE + size
        width = 2 if modes & WIDE else 1
        samples = _decoded(raw, modes)
        if modes & LOOPED and end // width > begin // width + 8:
            loop = slice(begin // width, end // width)
            samples = _looped(samples, loop, rate, modes, fades=fades)
        yield PatchNote(samples, rate, 69 + 12 * float(np.log2(milli_hertz / 1000 / 440)))


def _decoded(raw: bytes, modes: int) -> Samples:
    kind: Any = ("<u2" if modes & UNSIGNED else "<i2") if modes & WIDE else None
    kind = kind or ("u1" if modes & UNSIGNED else "i1")
    half = 32768 if modes & WIDE else 128
    values = np.frombuffer(raw, kind).astype(np.float32)
    return np.asarray((values - half * bool(modes & UNSIGNED)) / half, np.float32)


def _looped(samples: Samples, loop: slice, rate: int, modes: int, *, fades: bool) -> Samples:
    turn = samples[loop]
    if modes & BOTH_WAYS:
        turn = np.concatenate([turn, turn[::-1]])
    length = int(SECONDS * rate)
    turns = max(0, -(-(length - loop.stop) // len(turn)))
    played = np.concatenate([samples[: loop.stop], np.tile(turn, turns)])[:length]
    if fades:
        played = played * np.exp(-DECAY * np.maximum(0, np.arange(len(played)) - loop.stop) / rate)
    end = int(FADE_S * rate)
    played[-end:] *= np.linspace(1, 0, end)
    return np.asarray(played, np.float32)


def main() -> None:
    """Write the notes of every program and print how many each label has."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("patches", type=Path, help="the folder that holds Tone_000")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    for program, label in PROGRAMS.items():
        path = options.patches / "Tone_000" / f"{program}.pat"
        if not path.is_file():
            parser.error(f"no {path}")
        target = options.folder / label
        target.mkdir(parents=True, exist_ok=True)
        written = 0
        for number, note in enumerate(notes(path.read_bytes(), fades=label in FADING), 1):
            if PITCHES[0] < note.pitch < PITCHES[1]:
                name = f"{round(note.pitch):03d}_{program[:3]}{number:02d}.wav"
                soundfile.write(target / name, note.samples, note.rate)
                written += 1
        sys.stdout.write(f"{label}: {written} notes of {program}\n")


if __name__ == "__main__":
    main()
