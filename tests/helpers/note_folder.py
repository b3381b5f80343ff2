"""A folder of notes, as figures of served models are measured on."""

from tests.training.recordings.conftest import write

PITCHES = {"violin": 660, "flute": 880}


def write_notes(folder):
    """Write notes of two labels, which no instrument plays, and return their folder."""
    for label, hertz in PITCHES.items():
        for number in range(3):
            path = folder / label / f"{label}_A{number + 3}_1_forte_normal.wav"
            write(path, hertz=hertz * 2 ** (number / 12), seconds=2)
    return folder
