"""HEIC is read where its decoder is installed; elsewhere the error says what to install.

The decoder is under the GPL, so that only `make test-slow` installs it.
"""

import sys

import numpy as np
import pytest

from common.errors import TooLarge, UnsupportedMedia
from features.config import PictureConfig
from features.picture import decode, thumbnail
from tests.features.heic_file import HEIC
from tests.features.pictures import save, scene

UPRIGHT = PictureConfig(height=64, width=48)


def test_without_the_decoder_the_error_names_the_package_and_its_licence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for data in (HEIC, HEIC[:100]):
        with pytest.raises(UnsupportedMedia, match=r"HEIC.* GPL.*pip install pillow-heif.*JPEG"):
            decode(data, UPRIGHT)


@pytest.mark.slow
def test_with_the_decoder_it_is_cut_and_turned_upright():
    pytest.importorskip("pillow_heif")
    turned = np.rot90(np.asarray(scene()), -1)
    assert np.abs(decode(HEIC, UPRIGHT).astype(int) - turned).mean() < 6
    assert thumbnail(HEIC, side=32)[:3] == b"\xff\xd8\xff"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_with_the_decoder_grey_and_transparency_are_read(mode):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    picture = scene().convert(mode)
    if mode == "RGBA":
        picture.putalpha(0)
    pixels = decode(save(picture, "HEIF", quality=90), PictureConfig(height=48, width=64))
    expected = 255 if mode == "RGBA" else np.asarray(picture)[..., None]
    assert np.abs(pixels.astype(int) - expected).mean() < 4


@pytest.mark.slow
def test_with_the_decoder_what_the_data_holds_is_bounded_before_it_is_decoded():
    pytest.importorskip("pillow_heif")
    assert decode(HEIC, UPRIGHT, max_pixels=64 * 64).shape == (64, 48, 3)
    with pytest.raises(TooLarge, match="4096 pixels: at most 4095"):
        decode(HEIC, UPRIGHT, max_pixels=64 * 64 - 1)
