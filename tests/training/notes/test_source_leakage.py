"""Sources must not share recordings, or a split by source is none."""

import numpy as np
import pytest
from scipy import signal

from training.notes.library import library_of_folder, tidy
from training.notes.render import BORROWED, installed_fonts, render_notes, usable_labels


def likeness(one, other):
    """Return the largest correlation of two beginnings over all shifts, in [0, 1]."""
    one, other = np.diff(one[:6600].astype(np.float32)), np.diff(other[:6200].astype(np.float32))
    return (
        np.abs(signal.fftconvolve(one, other[::-1])).max()
        / np.linalg.norm(one)
        / np.linalg.norm(other)
    )


def closest(library, label, rendered):
    """Return, for each note, its likeness to the most similar rendering of the same pitch."""
    notes = [(note.pitch, sound) for note in rendered if len(sound := tidy(note.samples)) > 1000]
    found = []
    for index in library.notes(label):
        same = [sound for pitch, sound in notes if abs(pitch - library.pitch[index]) < 0.3]
        recorded = library.audio[library.start[index] : library.end[index]]
        found.append(max((likeness(recorded, sound) for sound in same), default=0.0))
    return float(np.median(found))


@pytest.fixture(scope="module")
def generaluser(shared_data, tmp_path_factory):
    return library_of_folder(
        shared_data / "audio" / "generaluser", tmp_path_factory.mktemp("libraries")
    )


def test_what_is_called_borrowed_is_the_same_recording(generaluser, small_font):
    assert (small_font.stem, "oboe") in BORROWED
    assert closest(generaluser, "oboe", render_notes(small_font, "oboe")) > 0.9


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_label_of_a_font_is_a_recording_of_generaluser(generaluser, small_font):
    for font in installed_fonts():
        for label in set(usable_labels(font)) & set(generaluser.labels):
            assert closest(generaluser, label, render_notes(font, label)) < 0.8, (font.stem, label)
