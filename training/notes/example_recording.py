"""Makes the example recording: 20 s, composed and rendered here with FluidR3 (MIT licence).

    python -m training.notes.example_recording examples/quartet.ogg

Beside the sound it writes what plays when, as JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile as sf

from common.strict_json import to_json
from training.common.errors import MaterialError
from training.notes.render import INSTALL, Struck, installed_fonts, render
from training.notes.sheet_music import PROGRAMS

if TYPE_CHECKING:
    from features.config import Samples

RATE = 44_100
BEAT = 0.625
"""Seconds: 96 to the minute; eight bars of four beats are 20 s."""
SECONDS = 20.0
# Each entry: the bar of the first note, its level in dB, then (pitch, beats); pitch 0 is a rest, a
# tuple a chord.
PIECE: dict[str, tuple[int, float, tuple[tuple[int | tuple[int, ...], float], ...]]] = {
    "flute": (0, -2, (
        (74, 1.5), (76, 0.5), (77, 1), (81, 1), (79, 1), (77, 0.5), (76, 0.5), (74, 2),
        (77, 1.5), (79, 0.5), (81, 1), (84, 1), (82, 1), (81, 0.5), (79, 0.5), (81, 1.8),
    )),
    "cello": (2, 0, (
        (50, 2), (57, 2), (46, 2), (53, 2), (50, 1), (53, 1), (57, 2), (43, 1), (50, 1), (45, 2),
        (50, 2), (48, 1), (46, 1), (45, 2), (50, 1.7),
    )),
    "piano": (4, 0, (
        ((62, 65, 69), 0.5), (74, 0.5), (77, 0.5), (74, 0.5),
        ((60, 65, 69), 0.5), (72, 0.5), (77, 0.5), (81, 0.5),
        ((62, 67, 70), 0.5), (74, 0.5), (79, 0.5), (82, 0.5),
        ((61, 64, 69), 0.5), (73, 0.5), (76, 0.5), (81, 0.4),
    )),
    "violin": (6, 0, (
        (81, 1), (77, 0.5), (79, 0.5), (81, 1), (82, 1), (81, 1), (79, 0.5), (76, 0.5), (74, 1.7),
    )),
    "viola": (6, 0, ((65, 1), (62, 1), (64, 0.5), (65, 0.5), (67, 1), (64, 1), (61, 1), (62, 1.7))),
}  # fmt: skip


def score(label: str) -> list[Struck]:
    """Return one part of the piece, in seconds."""
    bar, _, notes = PIECE[label]
    now, part = 4.0 * bar, []
    for pitches, beats in notes:
        chord = pitches if isinstance(pitches, tuple) else (pitches,)
        part += [Struck(now * BEAT, beats * BEAT * 0.97, pitch, 88, 40) for pitch in chord if pitch]
        now += beats
    return part


def truth() -> list[dict[str, object]]:
    """Return when each instrument plays: label, start and end in seconds."""
    parts = {label: score(label) for label in PIECE}
    return [
        {
            "label": label,
            "start": part[0].onset,
            "end": round(part[-1].onset + part[-1].duration, 3),
        }
        for label, part in parts.items()
    ]


def perform(font: Path) -> Samples:
    """Return the piece, mono at 44.1 kHz, peak at -3 dB."""
    total = np.zeros(int(SECONDS * RATE), np.float32)
    for label, (_, level_db, _) in PIECE.items():
        program = next(number for number, name in PROGRAMS.items() if name == label)
        stem = render(font, program, score(label), rate=RATE)[: len(total)]
        loudness = np.sqrt(np.mean(stem[np.abs(stem) > 1e-3] ** 2))
        total[: len(stem)] += stem * np.float32(10 ** (level_db / 20) / loudness)
    return total * np.float32(10 ** (-3 / 20) / np.abs(total).max())


def main(argv: list[str]) -> int:
    """Write the recording to the path given, and its truth beside it as .json."""
    path = Path(argv[0] if argv else "examples/quartet.ogg")
    font = next((font for font in installed_fonts() if font.stem == "FluidR3_GM"), None)
    if not font:
        raise MaterialError(f"the example is played with the sound font FluidR3_GM; run: {INSTALL}")
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, perform(font), RATE, format="OGG", subtype="VORBIS", compression_level=0.6)
    about = {
        "title": "Example for Timbre",
        "licence": "Apache-2.0",
        "font": "FluidR3 GM, MIT",
        "instruments": truth(),
    }
    path.with_suffix(".json").write_text(to_json(about, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
