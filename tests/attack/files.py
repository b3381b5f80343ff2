"""Files of every kind that is read."""

import io

import numpy as np
import soundfile
from PIL import Image

from tests.service.conftest import noise, wav


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
