"""A t-SNE map of pictures by their descriptors, as one self-contained page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from common.page import escape
from common.strict_json import to_json
from training.common.errors import MaterialError
from training.common.standard import mean_and_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.pictures.dataset.packed import Pack

PAGE = Path(__file__).with_name("map.html")
MAX_PICTURES = 3000
"""Maximum of pictures on a map; of more, a random sample is shown."""
MIN_PICTURES = 5
COMPONENTS = 50
PERPLEXITY = 30.0
SIDE = 40
"""Pixels of a thumbnail."""
QUALITY = 75
"""Of the thumbnails as JPEG: about a kilobyte each."""
GRID = 10_000
"""Coordinates are whole numbers from 0 to this."""
Matrix = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def render_map(pack: Pack, x: Matrix, *, title: str, seed: int) -> str:
    """Return the map of a pack as HTML.

    x: (n, numbers), descriptors in the pack's order. Raises MaterialError with fewer than 5
    pictures.
    """
    rows = sample_rows(len(x), seed=seed)
    labels, sources = (
        pack.labels[rows].tolist(),
        sorted({picture.source for picture in pack.pictures}),
    )
    points = [
        [*place, label, sources.index(pack.pictures[row].source), pack.pictures[row].path]
        for place, label, row in zip(
            embed(x[rows], seed=seed).tolist(), labels, rows.tolist(), strict=True
        )
    ]
    of = (
        f"{len(rows):,} of {len(x):,} pictures, a random sample"
        if len(rows) < len(x)
        else f"{len(x):,} pictures"
    )
    return render(
        {"labels": list(pack.classes), "sources": sources, "points": points},
        sprite([np.array(pack.images[row]) for row in rows.tolist()]),
        title=title,
        note=f"{of}: t-SNE of their descriptors of {x.shape[1]:,} numbers, over at most "
        f"{COMPONENTS} principal components. Close pictures are similar for the network; "
        "distances between groups, and their sizes, mean little.",
    )


def sample_rows(count: int, *, seed: int) -> Rows:
    """Return the rows that a map of so many pictures shows, in order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:MAX_PICTURES])


def embed(x: Matrix, *, seed: int) -> Rows:
    """Return the position (n, 2) of each row, whole numbers from 0 to 10,000.

    t-SNE (van der Maaten and Hinton 2008) of the first principal components of the standardised
    numbers; the same seed gives the same map. Raises MaterialError with fewer than 5 rows, or with
    equal rows only.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    mean, scale = (one.astype(np.float32) for one in mean_and_scale(x, alike=True))
    if len(x) < MIN_PICTURES or not np.isfinite(scale).any():
        raise MaterialError(
            f"no map: {len(x)} pictures; at least {MIN_PICTURES} different ones are needed, or "
            "map=false"
        )
    standard = (x - mean) / scale
    fewer = PCA(
        min(COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed
    ).fit_transform(standard)
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    start = "pca" if fewer.shape[1] > 1 else "random"
    found = TSNE(perplexity=perplexity, init=start, random_state=seed, n_jobs=1).fit_transform(
        fewer
    )
    low, span = found.min(axis=0), float(np.ptp(found, axis=0).max()) or 1.0
    scaled: Rows = np.rint((found - low) / span * GRID).astype(np.int64)
    return scaled


def sprite(images: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Return a square sheet of thumbnails of uint8 (height, width, 3), as a data URI."""
    from PIL import Image, ImageOps

    columns = columns_of(len(images))
    sheet = Image.new("RGB", (columns * SIDE, -(-len(images) // columns) * SIDE), "white")
    for number, image in enumerate(images):
        small = ImageOps.pad(Image.fromarray(image), (SIDE, SIDE), color="white")
        sheet.paste(small, (number % columns * SIDE, number // columns * SIDE))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def columns_of(count: int) -> int:
    """Return the columns of thumbnails in the sprite."""
    return int(np.ceil(np.sqrt(count)))


def render(shown: dict[str, Any], thumbnails: str, *, title: str, note: str) -> str:
    """Return the page.

    shown: labels, sources and points [x, y, label, source, path]. thumbnails: in their order.
    """
    # In a script, only "<" could end it.
    data = to_json({**shown, "side": SIDE, "across": columns_of(len(shown["points"]))}).replace(
        "<", "\\u003c"
    )
    values = {"title": escape(title), "note": escape(note), "sprite": thumbnails, "data": data}
    parts = PAGE.read_text(encoding="utf-8").split("%%")
    return "".join(values[part] if number % 2 else part for number, part in enumerate(parts))
