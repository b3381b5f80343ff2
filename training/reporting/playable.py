"""Windows and pictures as data URIs for a page: sound to play, a picture of it."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from PIL import Image

from features.extract import log_mel

if TYPE_CHECKING:
    from features.config import Pixels, Samples

LOUD, FAINT = 0.8, 1e-4
"""Peak that sounds are played at; what is fainter than the second stays as it is."""


def audio(samples: Samples, rate: int) -> str:
    """Return a window at a common loudness as a data URI: MP3 where libsndfile can, else WAV."""
    peak = float(np.abs(samples).max(initial=0))
    loud = samples * (LOUD / peak) if peak > FAINT else samples
    form = "MP3" if "MP3" in soundfile.available_formats() else "WAV"
    buffer = io.BytesIO()
    soundfile.write(buffer, loud, rate, format=form)
    return _uri("audio/mpeg" if form == "MP3" else "audio/wav", buffer)


def picture(samples: Samples) -> str:
    """Return the log-mel spectrogram of a window as a data URI: time right, pitch up."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    bands = log_mel(samples)
    imsave(buffer, np.maximum(bands, bands.max() - 70), cmap="magma", origin="lower", format="png")
    return _uri("image/png", buffer)


def pixels(image: Pixels) -> str:
    """Return uint8 RGB (height, width, 3) as a data URI, pixel by pixel."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return _uri("image/png", buffer)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
