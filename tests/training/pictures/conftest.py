"""Folders of pictures that tests draw themselves."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageDraw


def drawing(seed, *, size=64, shapes=6):
    """A picture of random ellipses and boxes; two seeds look nothing alike."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (size, size), tuple(rng.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(shapes):
        (x, y), (w, h) = rng.integers(-size // 4, size, 2), rng.integers(size // 6, size, 2)
        (pen.ellipse, pen.rectangle)[rng.integers(2)](
            (x, y, x + w, y + h), fill=tuple(rng.integers(0, 256, 3).tolist())
        )
    return picture


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def draw():
    return drawing


@pytest.fixture(scope="session")
def encode():
    return encoded


@pytest.fixture
def folder(tmp_path):
    """Three classes of 12, 8 and 4 different drawings."""
    root = tmp_path / "pictures"
    seed = 0
    for label, count in {"boat": 12, "cup": 8, "tree": 4}.items():
        (root / label).mkdir(parents=True)
        for i in range(count):
            drawing(seed).save(root / label / f"{label}-{i}.png")
            seed += 1
    return root


@pytest.fixture(scope="session")
def zipped():
    """Return a function that packs a folder as a zip, paths from the folder's parent on."""

    def pack(folder, target):
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(folder.rglob("*.png")):
                archive.write(path, path.relative_to(folder.parent))
        return target

    return pack


@pytest.fixture(scope="module")
def tiny_backbone():
    """Build a network of six layers where mobilenet-v3-small is asked for."""
    from tests.training.pictures.helpers.backbone import tiny_backbones

    with tiny_backbones():
        yield
