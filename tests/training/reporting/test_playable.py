"""A window on a page: its sound can be played, its picture seen."""

import base64
import io

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from features.config import DEFAULT
from training.reporting.playable import audio, picture, pixels

TONE = np.sin(np.arange(DEFAULT.window) * 0.2).astype(np.float32)


def content(uri):
    kind, _, data = uri.partition(";base64,")
    return kind, io.BytesIO(base64.b64decode(data))


@pytest.mark.parametrize("level", [1.0, 0.001])
def test_the_sound_is_heard_at_one_loudness_whatever_its_level(level):
    kind, data = content(audio(level * TONE, DEFAULT.sample_rate))
    assert kind in {"data:audio/mpeg", "data:audio/wav"}
    samples, rate = soundfile.read(data)
    assert rate == DEFAULT.sample_rate
    assert abs(len(samples) - DEFAULT.window) < 3000
    assert 0.7 < np.abs(samples).max() < 0.95


def test_silence_stays_silent():
    samples, _ = soundfile.read(
        content(audio(np.zeros(DEFAULT.window, np.float32), DEFAULT.sample_rate))[1]
    )
    assert np.abs(samples).max() < 1e-3


def test_the_picture_has_a_pixel_a_band_and_frame_with_low_bands_below():
    kind, data = content(picture(TONE))
    pixels = imread(data, format="png")
    assert kind == "data:image/png"
    assert pixels.shape[:2] == DEFAULT.shape("log_mel")
    brightness = pixels[:, :, :3].sum(axis=(1, 2))
    assert brightness[64:].sum() > 2 * brightness[:64].sum(), "700 Hz lies in the lower half"


def test_a_picture_is_shown_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    kind, data = content(pixels(image))
    assert kind == "data:image/png"
    assert np.array_equal((imread(data, format="png") * 255).round().astype(np.uint8), image)
