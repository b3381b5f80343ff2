import numpy as np
import pytest

from training.notes.mixtures import WINDOW
from training.notes.noises import FAMILIES, noise, silence


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_noises_fill_a_window_with_peak_one(family):
    for seed in range(40):
        sound = noise(family, np.random.default_rng(seed))
        assert sound.shape == (WINDOW,)
        assert sound.dtype == np.float32
        assert np.abs(sound).max() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    "maker", sorted({m for some in FAMILIES.values() for m in some}, key=lambda m: m.__name__)
)
def test_every_maker_makes_sound_that_differs_by_seed(maker):
    one, other = maker(np.random.default_rng(1)), maker(np.random.default_rng(2))
    assert np.isfinite(one).all()
    assert one.shape == (WINDOW,)
    assert np.std(one) > 0
    assert not np.array_equal(one, other)


def test_silence_is_never_louder_than_a_whisper_of_noise():
    sounds = [silence(np.random.default_rng(seed)) for seed in range(60)]
    assert any(not sound.any() for sound in sounds)
    assert all(np.abs(sound - sound.mean()).max() <= 0.0011 for sound in sounds)


def test_the_families_are_not_the_same():
    assert set(FAMILIES["a"]) != set(FAMILIES["b"])
