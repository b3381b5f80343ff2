"""A backbone of six layers, which trains and becomes a graph in a fraction of a second."""

from contextlib import contextmanager

import pytest

from training.pictures.learn import backbones
from training.pictures.learn.network import keras_on_torch

STANDS_FOR = "mobilenet-v3-small"


@contextmanager
def tiny_backbones():
    """Build the tiny backbone where mobilenet-v3-small is asked for."""
    real = backbones._body

    def body(name, *, height, width, weights=None):
        if name == STANDS_FOR:
            return tiny_body(height, width)
        return real(name, height=height, width=width, weights=weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "_body", body)
        yield


def tiny_body(height, width):
    """Return a network from float pixels (n, height, width, 3) to a pooled vector (n, 12)."""
    keras = keras_on_torch()
    pixels = keras.Input((height, width, 3))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    for maps in (4, 8, 12):
        x = keras.layers.Conv2D(maps, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x), name="tiny")
