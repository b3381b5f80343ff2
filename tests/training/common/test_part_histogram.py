"""The plot of a split: bars in the colours of the parts, curves of many classes."""

import numpy as np
import pytest
from PIL import Image

from training.common.colours import colour_of
from training.common.part_histogram import ROWS, draw

PARTS = ("train", "valid", "test")


def pixels(path):
    with Image.open(path) as picture:
        return {tuple(one) for one in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}


def rgb(colour):
    return tuple(bytes.fromhex(colour[1:]))


@pytest.mark.parametrize(
    "count",
    [1, ROWS + 1, *(pytest.param(each, marks=pytest.mark.slow) for each in (ROWS, 83, 500))],
)
def test_each_part_is_drawn_in_its_colour(count, tmp_path):
    amounts = np.random.default_rng(0).integers(5, 90, (count, 3))
    path = tmp_path / "plot.png"
    draw(amounts, [f"class {n}" for n in range(count)], PARTS, path, what="pictures", title="all")
    assert {rgb(colour_of(part)) for part in PARTS} <= pixels(path)


@pytest.mark.parametrize("length", [40, 300])
def test_long_names_leave_room_for_the_bars(length, tmp_path):
    path = tmp_path / "plot.png"
    draw(np.array([[3.5, 1.0, 1.0]]), ["x" * length], PARTS, path, what="hours", title="all")
    with Image.open(path) as picture:
        green = np.asarray(picture.convert("RGB")) == rgb(colour_of("test"))
        columns = np.flatnonzero(green.all(axis=2)[picture.height // 2 :].any(axis=0))
    assert len(columns) > 40
