"""Decodes picture files to uint8 RGB of the shape a model takes, in training and in serving.

Colour profiles are not applied. A JPEG much larger than asked for is decoded at a half, a quarter
or an eighth of its size, never below twice the size asked for; this is part of the arithmetic, for
training as for serving.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from common.errors import InputError, TimbreError, TooLarge, Unprocessable
from features.config import PictureConfig, Pixels
from features.image_files import heic, jpeg_data
from features.image_files.image_header import Bare, unwrap
from features.image_files.picture_hints import STRIPPED, is_stripped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Pillow would load them, and forty others, when the first picture of a kind comes.
PLUGINS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
# Decoding has its threads already.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
MAX_PIXELS = 52_000_000
"""Pixels of one picture as stored, above the 8192 x 6144 of a telephone. Decoding takes nine bytes
of memory per pixel, WebP and AVIF sixteen, and twice the size of the file."""
HIGHEST_MAX_PIXELS = 89_000_000
"""The decoder's memory is counted up to this."""
REDUCED = 4
"""So many times `max_pixels` may be stored in a JPEG that is decoded at a half or less: 200
megapixels of a telephone. What is decoded must be within `max_pixels`."""
# Pillow would warn above 89 million, and fail above 179; sizes are checked here before.
Image.MAX_IMAGE_PIXELS = None
MAX_ASPECT = 50
"""Longer side over shorter."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation, the operation that makes it upright."""
_GAP = 3.0
"""Pillow first shrinks by whole numbers to three times the size asked for; it calls the result
indistinguishable."""


class _CheckedFile(io.BytesIO):
    """Calls `check` whenever the decoder reads on, some 64 kB at a time."""

    def __init__(self, data: bytes, check: Callable[[], None]) -> None:
        super().__init__(data)
        self._check = check

    def read(self, size: int | None = -1, /) -> bytes:
        self._check()
        return super().read(size)


def decode(
    data: bytes,
    config: PictureConfig,
    *,
    max_pixels: int = MAX_PIXELS,
    check: Callable[[], None] = lambda: None,
) -> Pixels:
    """Return a picture file as uint8 (config.height, config.width, 3).

    JPEG, PNG, WebP, GIF (its first picture), BMP, TIFF, AVIF, or HEIC where pillow-heif is
    installed; rotated by EXIF or XMP; transparency on
    white; grey, palette, 16-bit and CMYK become RGB. Size and shape are checked before decoding.
    check: called while the file is read and between the steps; an error it raises ends the
    decoding.

    Raises UnsupportedMedia (another kind of file), InputError (empty, truncated, damaged), TooLarge
    (over `max_pixels`), Unprocessable (no pixels, an aspect ratio beyond `MAX_ASPECT`, pixels
    without colours).
    """
    try:
        bare = unwrap(data)
        _check_shape(bare)
        _check_pixels(bare, config, min(max_pixels, HIGHEST_MAX_PIXELS))
        return _decoded(bare, config, check)
    except InputError as error:
        if is_stripped(data):
            raise type(error)(f"{error}; {STRIPPED}") from error
        raise


def tensor(
    pixels: Pixels, config: PictureConfig, metadata: Mapping[str, str] | None = None
) -> Pixels:
    """Return the tensor of a picture: its pixels, or flat, with a 0 or 1 per value of the metadata.

    metadata: a value for each field of `config.metadata`. Raises Unprocessable naming what is
    missing or unknown.
    """
    if not config.metadata and not metadata:
        return pixels
    return np.concatenate([pixels.ravel(), facts(config, metadata or {})])


def facts(config: PictureConfig, metadata: Mapping[str, str]) -> Pixels:
    """Return a 0 or 1 for each value of the metadata, uint8 (config.extra,). Raises as `tensor`."""
    given = dict(metadata)
    known = {field.name: field for field in config.metadata}
    if unknown := given.keys() - known.keys():
        raise Unprocessable(
            f"unknown metadata {min(unknown)!r:.80}; known: {', '.join(known) or 'none'}"
        )
    for name, field in known.items():
        if name not in given and field.required:
            raise Unprocessable(
                f"metadata {name!r} is missing; it must be one of {', '.join(field.values)}"
            )
        if name in given and given[name] not in field.values:
            raise Unprocessable(
                f"{name}={given[name]!r:.80} must be one of {', '.join(field.values)}"
            )
    hot = [value == given.get(field.name) for field in config.metadata for value in field.values]
    return np.array(hot, np.uint8)


def thumbnail(data: bytes, *, side: int, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a picture file as a JPEG of at most `side` x `side` pixels. Raises as `decode`."""
    bare = unwrap(data)
    _check_shape(bare)
    scale = min(1.0, side / max(bare.width, bare.height))
    width, height = (max(1, round(scale * length)) for length in (bare.width, bare.height))
    if bare.orientation > 4:
        width, height = height, width
    small = decode(
        data, PictureConfig(height=height, width=width, fit="squash"), max_pixels=max_pixels
    )
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _check_pixels(bare: Bare, config: PictureConfig, max_pixels: int) -> None:
    """Raise TooLarge where more would be decoded than may be."""
    if bare.largest > max(max_pixels, bare.width * bare.height):
        raise TooLarge(f"the {bare.kind} file holds {bare.largest} pixels: at most {max_pixels}")
    stored, most = bare.width * bare.height, max_pixels
    if bare.reducible:
        width, height = _drafted(bare, config)
        scale = max(
            scale
            for scale in (1, 2, 4, 8)
            if scale == 1 or scale <= min(bare.width // width, bare.height // height)
        )
        if scale > 1:
            most = min(REDUCED * max_pixels, max_pixels * scale**2)
    if stored > most:
        raise TooLarge(f"{bare.width} x {bare.height} = {stored} pixels: at most {most}")


def _drafted(bare: Bare, config: PictureConfig) -> tuple[int, int]:
    """Return the width and height, as stored, that a JPEG is decoded to at least."""
    width, height = _as_stored(bare, config)
    return 2 * width, 2 * height


def _as_stored(bare: Bare, config: PictureConfig) -> tuple[int, int]:
    """Return the width and height of the result before it is rotated."""
    sideways = bare.orientation > 4
    return (config.height, config.width) if sideways else (config.width, config.height)


def _check_shape(bare: Bare) -> None:
    width, height = bare.width, bare.height
    if width <= 0 or height <= 0:
        raise Unprocessable(f"{width} x {height}: the picture has no pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Unprocessable(
            f"{width} x {height}: the longer side may be at most {MAX_ASPECT} times the shorter"
        )


def _decoded(bare: Bare, config: PictureConfig, check: Callable[[], None]) -> Pixels:
    try:
        return _decode(bare, config, check)
    except (TimbreError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its message holds an address in memory
        raise InputError(
            f"this {bare.kind} file is damaged or truncated: its header cannot be read"
        ) from error
    except Exception as error:  # whatever a decoder stumbles over is a fault of the file
        raise InputError(f"this {bare.kind} file is damaged or truncated: {error}") from error


def _decode(bare: Bare, config: PictureConfig, check: Callable[[], None]) -> Pixels:
    if bare.missing:
        raise InputError(bare.missing)
    small, last = _small(bare, config, check)
    grey = bare.coarse is None and jpeg_data.is_grey(last)
    if bare.kind == "JPEG" and (bare.coarse or grey):
        noisy = replace(bare, data=jpeg_data.with_noise(bare.data, bare.scans))
        if _small(noisy, config, check)[0].tobytes() != small.tobytes():
            raise InputError("truncated: the JPEG file ends before its picture")
    if bare.orientation in _TURNS:
        small = small.transpose(_TURNS[bare.orientation])
    return np.asarray(_on_white(small, config))


def _small(
    bare: Bare, config: PictureConfig, check: Callable[[], None]
) -> tuple[Image.Image, object]:
    """Return the picture, resized and as it is stored, and its last pixel before that."""
    width, height = _as_stored(bare, config)
    check()
    if bare.kind == "HEIC":
        heic.register()
    form = "HEIF" if bare.kind == "HEIC" else bare.kind
    with Image.open(_CheckedFile(bare.data, check), formats=(form,)) as image:
        # The decoder of HEIC cuts it to its clean aperture.
        if image.size != (bare.width, bare.height) and bare.kind != "HEIC":
            raise InputError(
                f"damaged: {bare.width} x {bare.height} pixels by the header, {image.size} in truth"
            )
        if bare.kind == "JPEG":
            image.draft(None, _drafted(bare, config))
        image.load()
        check()
        last = image.getpixel((image.width - 1, image.height - 1))
        coloured = _coloured(image)
        check()
        return _resized(coloured, config, width=width, height=height), last


def _coloured(image: Image.Image) -> Image.Image:
    """Return the picture as RGB or L, or as RGBA or LA if it has transparency."""
    if image.mode in ("I", "F", "LAB"):
        raise Unprocessable(
            f"pixels of mode {image.mode} (32-bit numbers, or L*a*b*) are not read here"
        )
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _resized(image: Image.Image, config: PictureConfig, *, width: int, height: int) -> Image.Image:
    """Return the picture, or its middle, resized; pictures that are padded may be smaller."""
    size, box = (width, height), (0.0, 0.0, float(image.width), float(image.height))
    across, down = image.width / width, image.height / height
    if config.fit == "crop":
        scale = min(across, down)
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        # Rounding may move the box slightly out of the picture.
        box = (
            max(0.0, left),
            max(0.0, top),
            min(box[2], left + scale * width),
            min(box[3], top + scale * height),
        )
    if config.fit == "pad":
        scale = max(across, down)
        size = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
    return image.resize(size, Image.Resampling[config.resample.upper()], box=box, reducing_gap=_GAP)


def _on_white(small: Image.Image, config: PictureConfig) -> Image.Image:
    """Return the picture as RGB in the middle of white."""
    if small.mode == "RGB" and small.size == (config.width, config.height):
        return small
    # Grey is resized as such, which is less work, and becomes three equal colours here.
    small = small.convert({"L": "RGB", "LA": "RGBA"}.get(small.mode, small.mode))
    white = Image.new("RGB", (config.width, config.height), "white")
    corner = ((config.width - small.width) // 2, (config.height - small.height) // 2)
    white.paste(small, corner, small if small.mode == "RGBA" else None)
    return white
