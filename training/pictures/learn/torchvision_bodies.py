"""ResNet and ResNeXt as torchvision has them, in Keras, with torchvision's names of the layers.

Keras's own ResNets of the same names halve the picture in another convolution of a block, so that
torchvision's weights would give other numbers in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from training.pictures.learn.network import keras_on_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

EPSILON = 1e-5
PLANES = (64, 128, 256, 512)
EXPANSION = 4


class ResNet(NamedTuple):
    """What tells the networks apart."""

    blocks: tuple[int, ...]
    """Of each stage."""
    groups: int = 1
    """Of the middle convolution."""
    width: int = 64
    """Channels of a group in the first stage."""


RESNETS = {
    "resnet50-torchvision": ResNet((3, 4, 6, 3)),
    "resnet101-torchvision": ResNet((3, 4, 23, 3)),
    "resnet152-torchvision": ResNet((3, 8, 36, 3)),
    "resnext50-32x4d": ResNet((3, 4, 6, 3), 32, 4),
    "resnext101-32x8d": ResNet((3, 4, 23, 3), 32, 8),
    "resnext101-64x4d": ResNet((3, 4, 23, 3), 64, 4),
}


def resnet(name: str, shape: Sequence[int]) -> Any:
    """Return the network (K. He et al., 2016; S. Xie et al., 2017) up to its pooling."""
    keras, settings = keras_on_torch(), RESNETS[name]
    layers = keras.layers
    pixels = keras.Input(shape)
    x = _convolution(keras, pixels, "conv1", 64, 7, stride=2)
    x = layers.ReLU()(_norm(keras, x, "bn1"))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for stage, (planes, blocks) in enumerate(zip(PLANES, settings.blocks, strict=True), 1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _block(keras, x, f"layer{stage}.{block}", planes, settings, stride=stride)
    return keras.Model(pixels, layers.GlobalAveragePooling2D()(x), name="resnet")


def _block(keras: Any, x: Any, name: str, planes: int, settings: ResNet, *, stride: int) -> Any:
    """Add a bottleneck block."""
    shortcut, out = x, EXPANSION * planes
    width = planes * settings.width // 64 * settings.groups
    if stride > 1 or x.shape[-1] != out:
        shortcut = _convolution(keras, x, f"{name}.downsample.0", out, 1, stride=stride)
        shortcut = _norm(keras, shortcut, f"{name}.downsample.1")
    x = _convolution(keras, x, f"{name}.conv1", width, 1)
    x = keras.layers.ReLU()(_norm(keras, x, f"{name}.bn1"))
    x = _convolution(keras, x, f"{name}.conv2", width, 3, stride=stride, groups=settings.groups)
    x = keras.layers.ReLU()(_norm(keras, x, f"{name}.bn2"))
    x = _norm(keras, _convolution(keras, x, f"{name}.conv3", out, 1), f"{name}.bn3")
    return keras.layers.ReLU()(keras.layers.Add()([shortcut, x]))


def _convolution(
    keras: Any, x: Any, name: str, maps: int, side: int, *, stride: int = 1, groups: int = 1
) -> Any:
    """Add a convolution; "same" of Keras would pad one side more than the other where it halves."""
    if side > 1:
        x = keras.layers.ZeroPadding2D(side // 2)(x)
    layer = keras.layers.Conv2D(
        maps, side, strides=stride, groups=groups, use_bias=False, name=layer_name(name)
    )
    return layer(x)


def _norm(keras: Any, x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=EPSILON, name=layer_name(name))(x)


def layer_name(name: str) -> str:
    """Return Keras's name of a layer of torchvision, in which no dot may be."""
    return name.replace(".", "_")
