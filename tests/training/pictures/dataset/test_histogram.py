"""Pictures per class and part."""

import numpy as np
import pytest
from PIL import Image

from training.pictures.dataset.histogram import ROWS, chosen, draw, text

NAMES = ("train", "valid", "test")


def test_every_class_has_its_line_with_counts_and_a_bar():
    lines = text(np.array([[1000, 20, 30], [70, 2, 3]]), ["boats", "b"], NAMES).splitlines()
    assert lines[0].split() == ["class", *NAMES]
    assert lines[1].split()[:4] == ["boats", "1,000", "20", "30"]
    assert lines[1].count("█") > 10 * lines[2].count("█") > 0
    assert lines[3].split() == ["all", "1,070", "22", "33"]
    assert lines[4].split() == ["95.1%", "2.0%", "2.9%"]


@pytest.mark.parametrize("count", [ROWS, ROWS + 1, 10_000])
def test_of_many_classes_the_largest_and_the_smallest_are_shown(count):
    counts = np.random.default_rng(0).integers(1, 100, (count, 2))
    counts[7], counts[11] = 1_000, 0
    shown = chosen(counts)
    assert len(shown) == ROWS
    assert {7, 11} <= set(shown)
    said = text(counts, [f"c{i:05}" for i in range(count)], NAMES[:2])
    assert said.count("\n") <= ROWS + 3
    assert ("more classes" in said) is (count > ROWS)


@pytest.mark.parametrize("count", [1, ROWS, 10_000])
def test_the_picture_stays_of_a_size_that_can_be_looked_at(count, tmp_path):
    counts = np.random.default_rng(0).integers(0, 100, (count, 3))
    counts[0, 0] = 1
    draw(counts, [f"class {i}" for i in range(count)], NAMES, tmp_path / "h.png")
    with Image.open(tmp_path / "h.png") as picture:
        assert 800 < picture.width < 1_200
        assert 150 < picture.height < 1_700
