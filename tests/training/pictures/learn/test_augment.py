"""Changed training pictures: what changes, what stays, and that a seed says how."""

import numpy as np
import pytest
import torch

from training.pictures.dataset.settings import Augment
from training.pictures.learn.augment import augment_batch


def batch():
    """Eight white pictures with a dark corner at the top left."""
    x = torch.full((8, 3, 24, 24), 255.0)
    x[:, :, :8, :8] = 40
    return x


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_for_nothing_changes():
    assert torch.equal(augment_batch(batch(), Augment(), seeded()), batch())


def test_the_same_seed_gives_the_same_pictures_and_another_one_others():
    how = Augment(flip=True, shift=0.1, scale=0.2, turn=20, colour=0.3, background=0.5, noise=10)
    first, again, other = (augment_batch(batch(), how, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 255


def test_a_flip_moves_the_corner_to_the_right_in_about_half_of_them():
    out = augment_batch(batch(), Augment(flip=True), seeded())
    right, left = (out[:, 0, 2, -3] < 100).sum(), (out[:, 0, 2, 2] < 100).sum()
    assert right + left == 8
    assert 1 <= right <= 7


@pytest.mark.parametrize(
    ("flip", "corners"),
    [
        ("vertical", {"top left", "bottom left"}),
        ("horizontal", {"top left", "top right"}),
        ("both", {"top left", "top right", "bottom left", "bottom right"}),
        (False, {"top left"}),
        ("false", {"top left"}),
    ],
)
def test_a_flip_moves_the_corner_along_the_axes_asked_for(flip, corners):
    x = batch().repeat(8, 1, 1, 1)
    out = augment_batch(x, Augment(flip=flip, turn=1e-9), seeded())[:, 0]
    found = {
        f"{down} {across}": int((out[:, row, column] < 100).sum())
        for down, row in (("top", 2), ("bottom", -3))
        for across, column in (("left", 2), ("right", -3))
    }
    assert sum(found.values()) == len(x)
    assert {corner for corner, count in found.items() if count} == corners


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_pictures_is_turned(share):
    x = batch().repeat(50, 1, 1, 1)
    out = augment_batch(x, Augment(turn=90, turned=share), seeded())
    still = ((out - x).abs().amax(dim=(1, 2, 3)) < 1).float().mean()
    assert abs(1 - float(still) - share) < 0.1


def test_what_comes_in_from_outside_is_white():
    out = augment_batch(
        torch.full((8, 3, 24, 24), 255.0), Augment(shift=0.4, scale=0.5, turn=90), seeded()
    )
    assert torch.allclose(out, torch.tensor(255.0))


def test_a_background_changes_what_is_white_and_nothing_else():
    out = augment_batch(batch(), Augment(background=1.0), seeded())
    assert torch.equal(out[:, :, :8, :8], batch()[:, :, :8, :8])
    assert (out[:, :, 12, 12] < 250).any(dim=1).all()


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_a_share_of_the_pictures_gets_another_background(share):
    out = augment_batch(torch.full((400, 3, 4, 4), 255.0), Augment(background=share), seeded())
    changed = (out[:, :, 0, 0] < 254).any(dim=1).float().mean()
    assert abs(float(changed) - share) < 0.1


def test_colours_and_noise_keep_the_shape_of_things():
    out = augment_batch(batch(), Augment(colour=0.2, noise=5), seeded()).numpy()
    for picture in out:
        assert np.corrcoef(picture.ravel(), batch()[0].numpy().ravel())[0, 1] > 0.9
