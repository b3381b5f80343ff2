"""Pictures that a tiny network learns in seconds: classes are shapes, sources are styles."""

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("box", "disc", "wedge")
STYLES = ("filled", "outlined", "thick")


def shape(kind, rng, *, style="filled", size=32):
    """One shape at a random place on random tiles, so that no pictures are near-duplicates."""
    ground = rng.integers(150, 256, (4, 4, 3)).astype(np.uint8)
    picture = Image.fromarray(ground).resize((size, size), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    x, y = rng.integers(1, size // 3, 2).tolist()
    box = (x, y, x + size // 2, y + size // 2)
    colour = tuple(rng.integers(0, 90, 3).tolist())
    how = {
        "filled": {"fill": colour},
        "outlined": {"outline": colour},
        "thick": {"outline": colour, "width": 4},
    }[style]
    if kind == "box":
        pen.rectangle(box, **how)
    elif kind == "disc":
        pen.ellipse(box, **how)
    else:
        pen.polygon([(box[0], box[3]), (box[2], box[3]), (box[2], box[1])], **how)
    return picture


def collection(root, counts, *, seed=0):
    """LABEL/N.png, as many of each label as asked for."""
    rng = np.random.default_rng(seed)
    for number, (label, count) in enumerate(counts.items()):
        (root / label).mkdir(parents=True)
        for i in range(count):
            shape(SHAPES[number % 3], rng).save(root / label / f"{i}.png")
    return root


def in_styles(root, *, things=12):
    """STYLE/LABEL/THING.png: every thing once in each style."""
    for label_number, label in enumerate(SHAPES):
        for thing in range(things):
            for style in STYLES:
                (root / style / label).mkdir(parents=True, exist_ok=True)
                picture = shape(label, np.random.default_rng([label_number, thing]), style=style)
                picture.save(root / style / label / f"thing-{thing}.png")
    return root
