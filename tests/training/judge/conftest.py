"""A picture model with known scores, and pictures in folders named after its classes."""

import numpy as np
import pytest
from PIL import Image

from tests.models.colours import write_colours

COLOURS = {"red": (230, 20, 30), "Green": (20, 200, 40), "blue": (10, 40, 220)}


def save(path, colour, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(colour, 30, (30, 40, 3))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    """Six of each colour; two of blue in the folder of red, four of no class, one unreadable."""
    root = tmp_path_factory.mktemp("album") / "colours"
    for number, (name, colour) in enumerate(COLOURS.items()):
        for i in range(6):
            save(root / name / f"{i}.png", colour, 10 * number + i)
    for i in (6, 7):
        save(root / "red" / f"{i}.png", COLOURS["blue"], i)
    for i in range(4):
        save(root / "light red" / f"{i}.png", COLOURS["red"], i)
    (root / "blue" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root
