"""`timbre data pack` on folders of several kinds of pictures, beside sequential Pillow.

What a picture costs is decoding: PNG unpacks and unfilters every pixel, while a large JPEG is
decoded small. So each kind has its own row, and the budget is held for pictures as data sets have
them.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import measure
from features.config import PictureConfig
from training.pictures.dataset.folders import listing
from training.pictures.dataset.pack import pack

TITLE = "Pictures packed to 64 x 64, two threads, beside Pillow one by one"
A_SECOND = 500
"""Pictures, at least."""
CONFIG = PictureConfig(height=64, width=64)


class Kind(NamedTuple):
    """Pictures of one kind."""

    name: str
    size: tuple[int, int]
    form: str
    """JPEG photographs, or PNG drawings with transparency."""
    pictures: int
    budgeted: bool


KINDS = (
    Kind("JPEG 32 x 32", (32, 32), "JPEG", 1_000, budgeted=True),
    Kind("JPEG 640 x 480", (640, 480), "JPEG", 300, budgeted=True),
    Kind("JPEG 4000 x 3000", (4_000, 3_000), "JPEG", 12, budgeted=False),
    Kind("PNG 96 x 96, transparent", (96, 96), "PNG", 1_000, budgeted=True),
    Kind("PNG 512 x 512, transparent", (512, 512), "PNG", 150, budgeted=False),
    Kind("PNG 2000 x 2000, transparent", (2_000, 2_000), "PNG", 16, budgeted=False),
)


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `measure.rows`, of one picture, each with `what` and `a_second`."""
    table = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            table += _rows(
                kind, Path(folder), rounds=1 if tiny else 5, count=2 if tiny else kind.pictures
            )
    return [{**row, "a_second": 1e3 / row["median_ms"]} for row in table]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    budgeted = {kind.name for kind in KINDS if kind.budgeted}
    ours = [row for row in table if row["name"] == "packed" and row["what"] in budgeted]
    return [
        f"{row['what']}: {row['a_second']:.0f} a second are packed, budget {A_SECOND}"
        for row in ours
        if row["a_second"] < A_SECOND
    ]


def _rows(kind: Kind, folder: Path, *, rounds: int, count: int) -> list[dict[str, Any]]:
    pictures = folder / "pictures"
    (pictures / "a").mkdir(parents=True)
    made = [_picture(kind, seed) for seed in range(4)]
    for number in range(count):
        (pictures / "a" / f"{number}.{kind.form.lower()}").write_bytes(made[number % len(made)])
    subjects: dict[str, Callable[[Path], object]] = {"packed": _packed, "Pillow": _one_by_one}
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name, subject in subjects.items():
            begin = time.perf_counter()
            subject(folder / f"out{number}" if name == "packed" else pictures)
            times[name].append(1e3 * (time.perf_counter() - begin) / count)
    return measure.rows(times, ours="packed", what=kind.name)


def _packed(out: Path) -> object:
    return pack(listing(out.parent / "pictures"), out, CONFIG, progress=lambda _done, _total: None)


def _one_by_one(pictures: Path) -> object:
    from PIL import Image

    size = (CONFIG.width, CONFIG.height)
    return [
        np.asarray(Image.open(path).convert("RGB").resize(size))
        for path in sorted((pictures / "a").iterdir())
    ]


def _picture(kind: Kind, seed: int) -> bytes:
    """Return a file: a smooth photograph, or a drawing of ellipses on nothing."""
    from PIL import Image, ImageDraw

    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    if kind.form == "JPEG":
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize(kind.size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        return buffer.getvalue()
    drawing = Image.new("RGBA", kind.size)
    for _ in range(20):
        left, top = rng.integers(0, kind.size[0], 2).tolist()
        corners = (left, top, left + kind.size[0] // 3, top + kind.size[1] // 3)
        ImageDraw.Draw(drawing).ellipse(corners, fill=tuple(rng.integers(0, 256, 3).tolist()))
    drawing.save(buffer, "PNG")
    return buffer.getvalue()
