"""ResNet, ResNeXt and VGG19 as torchvision has them, in Keras, with its names of the layers.

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
VGG19 = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions before each halving."""
VGG_DENSE = 4096
VGG_SMALLEST = 32
"""Pixels: halved five times."""


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


def resnet(name: str, shape: Sequence[int], *, classes: int = 0) -> Any:
    """Return the network (K. He et al., 2016; S. Xie et al., 2017) up to its pooling.

    classes: of the logits that it ends with instead.
    """
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
    x = layers.GlobalAveragePooling2D()(x)
    if classes:
        x = layers.Dense(classes, name="fc")(x)
    return keras.Model(pixels, x, name="resnet")


def vgg19(shape: Sequence[int], *, classes: int = 0) -> Any:
    """Return VGG19 (K. Simonyan and A. Zisserman, 2015) up to a global average.

    classes: of the logits that it ends with instead. Raises ValueError then for pictures of which
    the convolutions do not leave 7 x 7 places: torchvision pools others to that, the classifier is
    for no other. Raises ValueError for pictures of which they leave none.
    """
    keras = keras_on_torch()
    layers = keras.layers
    x = pixels = keras.Input(shape)
    if min(shape[:2]) < VGG_SMALLEST:
        raise ValueError(f"sides must be at least {VGG_SMALLEST} pixels")
    number = 0
    for maps, count in VGG19:
        for _ in range(count):
            name = layer_name(f"features.{number}")
            x = layers.Conv2D(maps, 3, padding="same", activation="relu", name=name)(x)
            # torchvision counts the ReLU behind each convolution too.
            number += 2
        x = layers.MaxPooling2D(2)(x)
        number += 1
    if not classes:
        return keras.Model(pixels, layers.GlobalAveragePooling2D()(x), name="vgg19")
    if x.shape[1:3] != (7, 7):
        raise ValueError("its classifier takes 224 x 224 pixels")
    # torchvision numbers the places of each channel, Keras the channels of each place.
    x = layers.Flatten()(layers.Permute((3, 1, 2))(x))
    for at in (0, 3):
        x = layers.Dense(VGG_DENSE, activation="relu", name=layer_name(f"classifier.{at}"))(x)
    x = layers.Dense(classes, name=layer_name("classifier.6"))(x)
    return keras.Model(pixels, x, name="vgg19")


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
