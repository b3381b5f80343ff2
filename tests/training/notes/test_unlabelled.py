"""Windows of sound without labels."""

import numpy as np
import pytest
import soundfile as sf

from features.config import DEFAULT
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.mixtures import PRE_ROLL, WINDOW
from training.notes.unlabelled import Generated, Sounds, of_folder, window

SPAN = PRE_ROLL + WINDOW


@pytest.fixture
def folder(tmp_path, make_tone):
    """A tone of 5 s, a short one in a folder of its own, and a file that is no sound."""
    (tmp_path / "sounds" / "inner").mkdir(parents=True)
    sf.write(tmp_path / "sounds" / "long.wav", 0.1 * make_tone(60, 5.0), RATE)
    sf.write(tmp_path / "sounds" / "inner" / "short.wav", make_tone(72, 0.4), RATE)
    (tmp_path / "sounds" / "about.txt").write_text("nothing")
    return tmp_path / "sounds"


def test_a_folder_is_decoded_once_at_full_level(folder, tmp_path):
    told = []
    found = of_folder(folder, tmp_path / "kept", progress=lambda *one: told.append(one))
    assert told == [(1, 2), (2, 2)]
    assert np.diff(found.start).tolist() == [round(0.4 * RATE), 5 * RATE]
    for begin, end in zip(found.start[:-1], found.start[1:], strict=True):
        assert np.abs(found.audio[begin:end]).max() >= 32_766
    again = of_folder(folder, tmp_path / "kept", progress=lambda *one: told.append(one))
    assert len(told) == 2
    np.testing.assert_array_equal(again.audio, found.audio)
    sf.write(folder / "more.wav", np.zeros(RATE, np.float32), RATE)
    assert len(of_folder(folder, tmp_path / "kept").start) == 4


def test_a_folder_without_recordings_and_a_damaged_one_are_named(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MaterialError, match="empty: no recordings in it"):
        of_folder(tmp_path / "empty", tmp_path)
    (folder / "broken.wav").write_bytes(b"RIFFxxxxWAVE")
    with pytest.raises(MaterialError, match=r"broken\.wav cannot be read as sound"):
        of_folder(folder, tmp_path)


def test_windows_have_sound_of_one_recording_and_the_same_seed_the_same_window(folder, tmp_path):
    sounds = of_folder(folder, tmp_path)
    for seed in range(40):
        drawn = sounds.draw(np.random.default_rng(seed))
        assert (drawn.shape, drawn.dtype) == ((SPAN,), np.float32)
        assert np.abs(drawn[PRE_ROLL:]).max() > 0.1
        assert np.abs(drawn).max() <= 1
        np.testing.assert_array_equal(drawn, sounds.draw(np.random.default_rng(seed)))


def test_of_silence_a_window_of_silence_is_drawn():
    silent = Sounds("silent", np.zeros(RATE, np.int16), np.array([0, RATE]))
    assert not silent.draw(np.random.default_rng(1)).any()


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (2.0, 0.5)])
def test_weights_say_what_is_drawn_and_windows_are_as_long_as_those_of_models(
    folder, tmp_path, weights
):
    drawn = []

    class Told(Generated):
        def draw(self, rng):
            drawn.append("generated")
            return super().draw(rng)

    kinds = [of_folder(folder, tmp_path), Told()]
    rng = np.random.default_rng(0)
    windows = [window(kinds, weights, 0.0, rng) for _ in range(30)]
    assert {one.shape for one in windows} == {(DEFAULT.window,)}
    assert all(np.isfinite(one).all() for one in windows)
    count = {(1.0, 0.0): (0, 0), (0.0, 1.0): (30, 30)}.get(weights, (1, 15))
    assert count[0] <= len(drawn) <= count[1]


@pytest.mark.parametrize(("mixed", "times"), [(0.0, 1), (1.0, 2)])
def test_a_mixture_is_of_two_sounds(mixed, times):
    asked = []

    class Told(Generated):
        def draw(self, rng):
            asked.append(1)
            return super().draw(rng)

    for seed in range(10):
        window([Told()], [1.0], mixed, np.random.default_rng(seed))
    assert len(asked) == 10 * times
