import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from training.common.errors import MaterialError
from training.pictures.dataset.folders import Picture
from training.pictures.dataset.image_hash import ImageHashes
from training.pictures.dataset.packed import Pack
from training.pictures.embeddings.tsne_map import (
    MAX_PICTURES,
    MIN_PICTURES,
    SIDE,
    embed,
    render_map,
    sample_rows,
    sprite,
)


def groups(count=300, seed=0):
    """Three groups far apart in twenty numbers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return (rng.normal(size=(count, 20)) + 8 * np.eye(20)[labels]).astype(
        np.float32
    ), labels.astype(np.int32)


def pack_of(labels, names):
    """Pictures of one grey each, so that a thumbnail says whose it is."""
    images = np.stack([np.full((16, 16, 3), 10 + i % 200, np.uint8) for i in range(len(labels))])
    pictures = [
        Picture(f"style/{names[label]}/{i}.png", names[label], "style", ())
        for i, label in enumerate(labels)
    ]
    table = ImageHashes(
        np.arange(0),
        np.array([]),
        np.array([], np.uint64),
        np.zeros((0, 1), np.uint8),
        np.zeros(0),
        [],
    )
    return Pack(images, labels, names, pictures, table, {})


def test_what_is_alike_lies_together_and_a_seed_gives_the_same_map():
    x, labels = groups()
    found = embed(x, seed=1)
    assert (found.min(), found.max()) == (0, 10_000)
    far = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(len(x))
    assert np.mean(labels[far.argmin(axis=1)] == labels) > 0.95
    np.testing.assert_array_equal(found, embed(x, seed=1))


def test_a_map_shows_all_pictures_up_to_its_limit():
    assert sample_rows(MAX_PICTURES, seed=1).tolist() == list(range(MAX_PICTURES))
    some = sample_rows(MAX_PICTURES + 1, seed=1)
    assert len(set(some.tolist())) == MAX_PICTURES
    assert some.max() <= MAX_PICTURES


def test_too_few_pictures_and_pictures_all_alike_are_refused():
    x, _ = groups()
    assert embed(x[:MIN_PICTURES], seed=1).shape == (MIN_PICTURES, 2)
    with pytest.raises(MaterialError, match=r"no map: 4 pictures.*map=false"):
        embed(x[: MIN_PICTURES - 1], seed=1)
    with pytest.raises(MaterialError, match="no map"):
        embed(np.ones((20, 3), np.float32), seed=1)
    rounded = np.ones((20, 3), np.float32)
    rounded[::2] += np.float32(1e-7)
    with pytest.raises(MaterialError, match="no map"):
        embed(rounded, seed=1)


def test_the_page_stands_alone_and_holds_each_picture_under_its_number():
    x, labels = groups(60)
    names = ["</script>", "b & c", "%%data%%"]
    text = render_map(pack_of(labels, names), x, title="Map of <toys>", seed=1)
    assert "Map of &lt;toys&gt;" in text
    assert re.findall(r'(?:src|href)="|https?://', text) == []
    assert text.count("</script>") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["labels"] == names
    assert [point[2:] for point in data["points"][:2]] == [
        [0, 0, "style/</script>/0.png"],
        [1, 0, "style/b & c/1.png"],
    ]
    sheet = Image.open(
        io.BytesIO(base64.b64decode(re.search(r"data:image/jpeg;base64,([^\"]+)", text)[1]))
    )
    assert sheet.size == (data["across"] * SIDE, 8 * SIDE)
    for number in (0, 17, 59):
        column, row = number % data["across"], number // data["across"]
        middle = sheet.getpixel((column * SIDE + SIDE // 2, row * SIDE + SIDE // 2))
        assert max(abs(value - 10 - number) for value in middle) <= 3


def test_a_thumbnail_costs_little_whatever_it_shows():
    noise = np.random.default_rng(0).integers(0, 256, (100, 60, 80, 3)).astype(np.uint8)
    assert len(sprite(list(noise))) < 2500 * len(noise)
