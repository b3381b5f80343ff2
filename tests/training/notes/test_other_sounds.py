"""Sounds that a model was not asked about."""

import numpy as np
import pytest

from training.notes.mixtures import WINDOW
from training.notes.other_sounds import KINDS, QUIETEST_DB, other_sound


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [WINDOW // 4, WINDOW + 1])
def test_every_kind_sounds_at_every_length_within_its_levels(kind, length):
    rng = np.random.default_rng(0)
    for _ in range(3):
        sound = other_sound(kind, length, rng)
        assert sound.shape == (length,)
        assert sound.dtype == np.float32
        assert 0 < np.abs(sound).max() <= 1
        assert np.isfinite(sound).all()


def test_a_whole_window_has_a_peak_between_its_levels_and_each_draw_is_another():
    rng = np.random.default_rng(1)
    made = [other_sound("like music", WINDOW, rng) for _ in range(4)]
    peaks = 20 * np.log10([np.abs(one).max() for one in made])
    assert (peaks >= QUIETEST_DB - 1e-3).all()
    assert (peaks <= 1e-3).all()
    assert len({one.tobytes() for one in made}) == 4
    again = other_sound("like music", WINDOW, np.random.default_rng(1))
    np.testing.assert_array_equal(made[0], again)


def test_what_is_like_music_has_pitches():
    """Its spectrum has peaks, far above what lies between them, as that of noise has not."""

    def flatness(kind):
        rng, found = np.random.default_rng(2), []
        for _ in range(5):
            power = np.abs(np.fft.rfft(other_sound(kind, WINDOW, rng)))[200:4000] ** 2
            found.append(np.exp(np.log(power + 1e-20).mean()) / power.mean())
        return np.median(found)

    assert flatness("like music") < flatness("noise") / 3
