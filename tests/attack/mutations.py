"""Files of every kind that is read, and ways to spoil bytes."""

import io

import numpy as np
import soundfile
from PIL import Image

from tests.service.conftest import noise, wav

EXTREMES = (b"\0", b"\xff", b"\x7f", b"\x80")


def sounds():
    """Short sound files of all kinds, and floats that no microphone gives."""
    rng = np.random.default_rng(0)
    stereo = (0.1 * rng.standard_normal((8_000, 2))).astype(np.float32)
    files = [wav(noise(1))]
    for kind, subtype in (
        ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        soundfile.write(buffer, stereo, 16_000, format=kind, subtype=subtype)
        files.append(buffer.getvalue())
    for value in (np.nan, np.inf, 1e30, 1e-40, -1e18):
        buffer = io.BytesIO()
        samples = np.full(8_000, value, np.float32)
        soundfile.write(buffer, samples, 16_000, format="WAV", subtype="FLOAT")
        files.append(buffer.getvalue())
    return files


def pictures():
    """Small pictures of all kinds."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8))
    files = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        for mode in ("RGB", "L", "P"):
            buffer = io.BytesIO()
            image.convert(mode if kind != "JPEG" or mode != "P" else "L").save(buffer, kind)
            files.append(buffer.getvalue())
    return files


def spoil(chance, data, others):
    """Return bytes with one to four changes; others: files to take parts from."""
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        chance.choice(CHANGES)(chance, spoilt, others)
    return bytes(spoilt)


def _place(chance, data):
    # Most of what can go wrong is in the header.
    return (
        chance.randrange(min(len(data), 100) if chance.random() < 0.6 else len(data) or 1)
        if data
        else 0
    )


def flip(chance, data, _):
    """Change one bit."""
    if data:
        data[_place(chance, data)] ^= 1 << chance.randrange(8)


def extreme(chance, data, _):
    """Write the least or largest number of one to eight bytes."""
    at, size = _place(chance, data), chance.choice((1, 2, 4, 8))
    data[at : at + size] = chance.choice(EXTREMES) * size


def cut(chance, data, _):
    """Keep the beginning."""
    del data[_place(chance, data) :]


def drop(chance, data, _):
    """Leave out a part."""
    at = _place(chance, data)
    del data[at : at + chance.randrange(1, 64)]


def repeat(chance, data, _):
    """Write a part twice."""
    at = _place(chance, data)
    data[at:at] = data[at : at + chance.randrange(1, 2_000)]


def insert(chance, data, _):
    """Put random bytes in."""
    at = _place(chance, data)
    data[at:at] = chance.randbytes(chance.randrange(1, 64))


def splice(chance, data, others):
    """Go on as another file."""
    other = chance.choice(others)
    data[_place(chance, data) :] = other[chance.randrange(len(other)) :]


def join(chance, data, others):
    """Append another file."""
    data += chance.choice(others)


CHANGES = (flip, flip, extreme, extreme, cut, drop, repeat, insert, splice, join)
