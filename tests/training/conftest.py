"""Material small enough for tests: plucked and held tones, written as files."""

import shutil

import numpy as np
import pytest
import soundfile as sf

from training.common.labels import RATE
from training.notes.library import library_of_folder
from training.notes.render import installed_fonts


def tone(pitch, seconds=1.0, *, harmonics=(1.0, 0.5, 0.25), decay=0.0, rate=RATE):
    time = np.arange(int(seconds * rate)) / rate
    base = 440 * 2 ** ((pitch - 69) / 12)
    waves = sum(a * np.sin(2 * np.pi * base * (i + 1) * time) for i, a in enumerate(harmonics))
    return (0.3 * waves * np.exp(-decay * time)).astype(np.float32)


@pytest.fixture(scope="session")
def notes_folder(tmp_path_factory):
    """A source `toy` with three pianos, four violins and two flutes."""
    folder = tmp_path_factory.mktemp("material") / "toy"
    notes = {
        "piano": ["C3", "G4", "C5"],
        "violin": ["G3", "D4", "A4", "E5"],
        "flute": ["074_01", "081_02"],
    }
    pitches = {
        "C3": 48,
        "G4": 67,
        "C5": 72,
        "G3": 55,
        "D4": 62,
        "A4": 69,
        "E5": 76,
        "074_01": 74,
        "081_02": 81,
    }
    for label, names in notes.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            sound = tone(pitches[name], 1.5, decay=3.0 if label == "piano" else 0.0)
            sf.write(folder / label / f"{name}.wav", sound, RATE)
    return folder


@pytest.fixture(scope="session")
def toy(notes_folder, tmp_path_factory):
    return library_of_folder(notes_folder, tmp_path_factory.mktemp("libraries"))


@pytest.fixture(scope="session")
def small_font():
    """TimGM6mb, the smallest of Debian's sound fonts."""
    if not shutil.which("fluidsynth"):
        pytest.skip("FluidSynth is not installed")
    fonts = [font for font in installed_fonts() if font.stem == "TimGM6mb"]
    return fonts[0] if fonts else pytest.skip("the sound font timgm6mb-soundfont is not installed")


@pytest.fixture(scope="session")
def make_tone():
    return tone


@pytest.fixture(scope="session")
def pitch_heard():
    """Return the MIDI pitch of the strongest partial."""

    def measure(samples, rate=RATE):
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
        return (
            69 + 12 * np.log2(np.argmax(spectrum[20:]) + 20) + 12 * np.log2(rate / (1 << 18) / 440)
        )

    return measure
