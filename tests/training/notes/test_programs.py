"""All programs of a sound font, played at random."""

import numpy as np
import pytest

from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes import programs
from training.notes.programs import PROGRAMS, TAIL_S, channels, played

SECONDS = 0.5


def test_each_program_has_its_time_and_the_drums_come_last():
    melodic, drums = channels(SECONDS, seed=1)
    assert [number for _, number in melodic.programs] == list(range(PROGRAMS))
    turn = SECONDS + TAIL_S
    begins = np.array([note.onset for note in melodic.notes])
    assert ((begins % turn) < SECONDS).all()
    assert len(np.unique(begins // turn)) == PROGRAMS
    assert drums.number == 9
    assert min(note.onset for note in drums.notes) >= PROGRAMS * turn
    assert channels(SECONDS, seed=1) == [melodic, drums]
    assert channels(SECONDS, seed=2) != [melodic, drums]


def test_pitches_are_those_of_a_piano():
    melodic, drums = channels(10.0, seed=3)
    assert {note.pitch for note in melodic.notes} <= set(range(21, 109))
    assert {note.pitch for note in drums.notes} <= set(range(35, 82))


def test_a_font_is_rendered_once_and_every_program_sounds(small_font, tmp_path, monkeypatch):
    sound = played(small_font, SECONDS, 1, tmp_path)
    turn = round((SECONDS + TAIL_S) * RATE)
    assert (sound.dtype, sound.ndim) == (np.int16, 1)
    assert len(sound) > 120 * turn
    parts = [sound[at : at + turn] for at in range(0, len(sound) - turn + 1, turn)]
    assert min(int(np.abs(part).max()) for part in parts) > 1_000
    # Nothing that renders is there any more.
    monkeypatch.setenv("PATH", str(tmp_path))
    np.testing.assert_array_equal(played(small_font, SECONDS, 1, tmp_path), sound)
    with pytest.raises(MaterialError, match="apt install fluidsynth"):
        played(small_font, SECONDS, 2, tmp_path)


def test_a_font_of_which_nothing_sounds_is_named(small_font, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "render_channels", lambda *_: np.zeros(RATE, np.float32))
    with pytest.raises(MaterialError, match=r"TimGM6mb\.sf2: none of its programs sounds"):
        played(small_font, SECONDS, 1, tmp_path)


def test_what_is_no_font_is_named(small_font, tmp_path):
    del small_font
    (tmp_path / "not.sf2").write_bytes(b"no font")
    with pytest.raises(MaterialError, match=r"not\.sf2"):
        played(tmp_path / "not.sf2", SECONDS, 1, tmp_path)
