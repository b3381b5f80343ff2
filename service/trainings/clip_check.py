"""Whether a posted file can be trained on: it is decoded as a request to classify would be."""

from __future__ import annotations

from common.errors import UnsupportedMedia
from features.config import PictureConfig
from features.containers import kinds
from features.image_files.image_header import sniff as sniff_picture
from service.inference.decode_pool import Check
from service.settings import Settings

PICTURES = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif",
    "AVIF": ".avif", "HEIC": ".heic",
}  # fmt: skip
SOUNDS = {
    "wav": ".wav", "flac": ".flac", "ogg": ".ogg", "mp3": ".mp3", "aiff": ".aiff", "au": ".au",
    "caf": ".caf", "w64": ".w64", "matroska": ".webm", "aac": ".aac", "mov": ".m4a", "amr": ".amr",
    "asf": ".wma", "ape": ".ape", "wv": ".wv", "tta": ".tta", "mpc8": ".mpc", "mpc": ".mpc",
    "ac3": ".ac3", "dsf": ".dsf",
}  # fmt: skip
"""By what ffmpeg calls the kind; training knows files by their suffixes."""


def suffix_of(data: bytes, settings: Settings, check: Check) -> str:
    """Return the suffix of a sound or picture file, decoded to its end. Raises InputError, Late."""
    try:
        kind = sniff_picture(data)
    except UnsupportedMedia:
        return _sound(data, settings, check)
    from features.picture import decode

    decode(data, PictureConfig(), max_pixels=settings.max_pixels, check=check)
    return PICTURES[kind]


def _sound(data: bytes, settings: Settings, check: Check) -> str:
    # Imported here so that a gateway that only streams never loads the decoder.
    from features.decode import decode_sound

    decode_sound(
        data,
        max_seconds=settings.max_seconds,
        max_samples=settings.max_samples,
        ffmpeg=settings.ffmpeg,
        check=check,
    )
    kind = kinds.sniff(kinds.without_tag(data) or data)
    if kind.demuxer not in SOUNDS:
        raise kinds.refuse(kind)
    return SOUNDS[kind.demuxer]
