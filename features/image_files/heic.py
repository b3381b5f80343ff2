"""HEIC, the pictures of iPhones: read with the package pillow-heif, where the user installed it.

It is no dependency: its wheels hold x265, which is under the GPL.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from common.errors import UnsupportedMedia

ADVICE = (
    "this is a HEIC picture, which is read where the package pillow-heif is installed (its wheels "
    "are under the GPL): pip install pillow-heif; or convert it to JPEG, as with "
    "magick FILE picture.jpg"
)


def check_installed() -> None:
    """Raise UnsupportedMedia, which says what to do, without the package."""
    if find_spec("pillow_heif") is None:
        raise UnsupportedMedia(ADVICE)


@cache
def register() -> None:
    """Let Pillow open HEIC, as `HEIF`: one thread, and nothing but the picture itself."""
    import pillow_heif

    pillow_heif.register_heif_opener(
        thumbnails=False, decode_threads=1, depth_images=False, aux_images=False
    )
