"""Labels that look wrong."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from training.pictures.clean.suspect_labels import (
    MAX_SHARE,
    UNLIKELY,
    describe,
    find_suspect_labels,
)


def quiet(done, total):
    pass


def stripes(rng, *, upright):
    """A picture of stripes, upright or lying, of any colour and width."""
    picture = Image.new("RGB", (32, 32), tuple(rng.integers(0, 256, 3).tolist()))
    pen, colour = ImageDraw.Draw(picture), tuple(rng.integers(0, 256, 3).tolist())
    for at in range(int(rng.integers(0, 6)), 32, int(rng.integers(5, 9))):
        pen.rectangle((at, 0, at + 2, 31) if upright else (0, at, 31, at + 2), fill=colour)
    return np.asarray(picture)


@pytest.fixture(scope="module")
def material():
    rng = np.random.default_rng(1)
    upright = rng.random(400) < 0.5
    described = np.array([describe(stripes(rng, upright=one)) for one in upright])
    return described, np.where(upright, "upright", "lying")


def test_edges_and_colours_are_described():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16:] = (255, 0, 0)
    edges, colours = describe(pixels)[:128].reshape(16, 8), describe(pixels)[128:].reshape(8, 8, 3)
    assert edges[:, 0].sum() == pytest.approx(edges.sum())
    assert (edges**2).sum() == pytest.approx(1)
    assert colours[0, 7].tolist() == [1, 0, 0]
    assert describe(np.full((32, 32, 3), 9, np.uint8))[:128].max() == 0


def test_labels_that_were_exchanged_are_found(material):
    described, labels = material
    wrong = np.random.default_rng(2).choice(400, 12, replace=False)
    given = labels.copy()
    given[wrong] = np.where(labels[wrong] == "upright", "lying", "upright")
    found, accuracy = find_suspect_labels(described, given.tolist(), np.arange(400), progress=quiet)
    assert accuracy > 0.85
    assert len(set(wrong) & {doubt.row for doubt in found[:12]}) >= 10
    names = ["lying", "upright"]
    assert all(names[doubt.suggested] == labels[doubt.row] for doubt in found if doubt.row in wrong)
    assert [doubt.given for doubt in found] == sorted(doubt.given for doubt in found)
    assert max(doubt.given for doubt in found) < UNLIKELY


def test_no_more_than_a_share_is_doubted(material):
    described, labels = material
    given = np.where(np.random.default_rng(3).random(400) < 0.8, labels, "upright").tolist()
    assert (
        0
        < len(find_suspect_labels(described, given, np.arange(400), progress=quiet).found)
        <= MAX_SHARE * 400
    )


def test_too_few_pictures_have_no_accuracy_and_models_that_are_never_right_have_0(material):
    described, _ = material
    few = find_suspect_labels(described[:9], ["a", "b", "c"] * 3, np.arange(9), progress=quiet)
    assert few == ([], None)
    each = [f"label {at}" for at in range(40)]
    never = find_suspect_labels(described[:40], each, np.arange(40), progress=quiet)
    assert never == ([], 0.0)


def test_models_that_know_nothing_doubt_nothing(material):
    described, _ = material
    chance = np.random.default_rng(3).choice(["a", "a", "a", "b"], 400).tolist()
    found, accuracy = find_suspect_labels(described, chance, np.arange(400), progress=quiet)
    assert found == []
    assert accuracy < 0.8


def test_a_copy_with_the_same_wrong_label_does_not_vouch_for_it(material):
    described, labels = material
    given = labels.copy()
    given[:10] = np.where(labels[:10] == "upright", "lying", "upright")
    twice, both = (
        np.concatenate([described, described[:10]]),
        np.concatenate([given, given[:10]]).tolist(),
    )
    group = np.concatenate([np.arange(400), np.arange(10)])
    found = {doubt.row for doubt in find_suspect_labels(twice, both, group, progress=quiet).found}
    assert len(found & set(range(10))) >= 8


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_one_class_or_few_pictures_give_no_doubts(material, count):
    described, _ = material
    assert find_suspect_labels(
        described[:count], ["a"] * count, np.arange(count), progress=quiet
    ) == ([], None)


def test_classes_of_one_picture_are_not_doubted(material):
    described, labels = material
    given = [*labels[:100].tolist(), *(f"lone-{i}" for i in range(50))]
    found, _ = find_suspect_labels(described[:150], given, np.arange(150), progress=quiet)
    assert all(doubt.row < 100 for doubt in found)
