"""Backbones by name: from pixels of 0 to 255 to one pooled vector for each picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common.atomic import atomic_file
from training.common.errors import MaterialError
from training.common.recipe import RecipeError
from training.pictures.learn.network import keras_on_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS = ("low", "middle", "high")
"""Thirds of a backbone's layers, from the input on; the classifier follows the pooling."""
WITHOUT_FILE = ("keras", "none")
"""Weights that are not in a file of one's own."""


class Backbone(NamedTuple):
    """Its name in `keras.applications`, and the range of its pixels."""

    maker: str
    pixels: str
    """blue-first (less the mean), unit (-1 to 1), standard (by ImageNet's mean and deviation), or
    own."""


BACKBONES = {
    "resnet50": Backbone("ResNet50", "blue-first"),
    "resnext50-32x4d": Backbone("", "standard"),
    "vgg19": Backbone("VGG19", "blue-first"),
    "xception": Backbone("Xception", "unit"),
    "mobilenet-v3-small": Backbone("MobileNetV3Small", "own"),
    "mobilenet-v3-large": Backbone("MobileNetV3Large", "own"),
    "efficientnet-v2-b0": Backbone("EfficientNetV2B0", "own"),
    "convnext-tiny": Backbone("ConvNeXtTiny", "own"),
}
BLUE_FIRST_MEAN = (103.939, 116.779, 123.68)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESNEXT = ((128, 3, 1), (256, 4, 2), (512, 6, 2), (1024, 3, 2))
"""Width, blocks and first stride of each stage (S. Xie et al., 2017)."""
CARDINALITY = 32


def check_backbone(name: str, weights: str) -> None:
    """Raise RecipeError for an unknown backbone, and for weights that Keras does not have."""
    if name not in BACKBONES:
        raise RecipeError(f"backbone={name!r} must be one of {', '.join(BACKBONES)}")
    if weights == "keras" and not BACKBONES[name].maker:
        raise RecipeError(
            f"Keras has no weights of {name}: name a file of weights, or network.weights=none"
        )


def build(name: str, *, height: int, width: int, weights: str, seed: int) -> Any:
    """Return the backbone as a Keras model from float pixels (n, height, width, 3) to (n, numbers).

    weights: none (random, from the seed), keras (ImageNet's, downloaded once by Keras), or a file:
    .weights.h5, .h5 or .keras. Raises RecipeError for pictures that are too small, MaterialError
    for weights that are missing or of another architecture.
    """
    check_backbone(name, weights)
    keras = keras_on_torch()
    keras.utils.set_random_seed(seed)
    try:
        body = _body(name, height=height, width=width)
    except ValueError as error:
        raise RecipeError(f"{name} on {width} x {height} pixels: {error}") from error
    load(body, name, weights, shape=(height, width, 3))
    pixels = keras.Input((height, width, 3), name="pixels")
    return keras.Model(
        pixels, body(_normalised(keras, pixels, BACKBONES[name].pixels)), name="backbone"
    )


def _body(name: str, *, height: int, width: int, weights: str | None = None) -> Any:
    keras, shape = keras_on_torch(), (height, width, 3)
    if not BACKBONES[name].maker:
        return _resnext(keras, shape)
    make = getattr(keras.applications, BACKBONES[name].maker)
    return make(include_top=False, weights=weights, input_shape=shape, pooling="avg")


def load(body: Any, name: str, weights: str, *, shape: tuple[int, int, int]) -> None:
    """Load weights into a backbone. Raises MaterialError for missing or unsuitable ones."""
    if weights == "none":
        return
    if weights == "keras":
        try:
            fetched = _body(name, height=shape[0], width=shape[1], weights="imagenet")
        except Exception as error:
            raise MaterialError(
                f"Keras could not download the weights of {name} ({error}); download them "
                f"elsewhere and name the file: network.weights=FILE"
            ) from error
        body.set_weights(fetched.get_weights())
        return
    path = Path(weights).expanduser()
    if not path.is_file():
        raise MaterialError(
            f"no weights {path}: network.weights takes keras, none, or a .weights.h5, .h5 "
            "or .keras file"
        )
    try:
        if path.suffix == ".keras":
            body.set_weights(keras_on_torch().saving.load_model(path, compile=False).get_weights())
        else:
            body.load_weights(path)
    except Exception as error:
        raise MaterialError(
            f"{path} does not hold weights of {name} without its top: {error}"
        ) from error


def save(backbone: Any, path: Path) -> None:
    """Write the weights of a backbone as a file that `build` reads."""
    with atomic_file(path) as draft:
        _body_of(backbone).save_weights(draft)


def _body_of(backbone: Any) -> Any:
    return next(layer for layer in backbone.layers if hasattr(layer, "layers"))


def _normalised(keras: Any, pixels: Any, wanted: str) -> Any:
    if wanted == "own":
        return pixels
    if wanted == "unit":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    if wanted == "standard":
        scale = [1 / (255 * deviation) for deviation in DEVIATION]
        offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
        return keras.layers.Rescaling(scale, offset=offset)(pixels)
    return keras.layers.Rescaling(1.0, offset=[-mean for mean in BLUE_FIRST_MEAN])(
        keras.ops.flip(pixels, axis=-1)
    )


def _resnext(keras: Any, shape: Sequence[int]) -> Any:
    layers = keras.layers
    pixels = keras.Input(shape)
    x = _norm(
        keras, layers.Conv2D(64, 7, strides=2, padding="same", use_bias=False)(pixels), relu=True
    )
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for width, blocks, stride in RESNEXT:
        for block in range(blocks):
            x = _block(keras, x, width, stride=stride if block == 0 else 1)
    return keras.Model(pixels, layers.GlobalAveragePooling2D()(x), name="resnext50")


def _block(keras: Any, x: Any, width: int, *, stride: int) -> Any:
    """Add a bottleneck block whose middle convolution has 32 groups."""
    convolution = keras.layers.Conv2D
    shortcut = x
    if stride > 1 or x.shape[-1] != 2 * width:
        shortcut = _norm(keras, convolution(2 * width, 1, strides=stride, use_bias=False)(x))
    x = _norm(keras, convolution(width, 1, use_bias=False)(x), relu=True)
    grouped = convolution(
        width, 3, strides=stride, padding="same", groups=CARDINALITY, use_bias=False
    )
    x = _norm(keras, grouped(x), relu=True)
    x = _norm(keras, convolution(2 * width, 1, use_bias=False)(x))
    return keras.layers.ReLU()(keras.layers.Add()([shortcut, x]))


def _norm(keras: Any, x: Any, *, relu: bool = False) -> Any:
    x = keras.layers.BatchNormalization(epsilon=1e-5)(x)
    return keras.layers.ReLU()(x) if relu else x


def groups(backbone: Any) -> dict[str, list[Any]]:
    """Return the layers with weights by group, from the input on."""
    body = _body_of(backbone)
    layers = body._flatten_layers(include_self=False, recursive=True)  # noqa: SLF001
    weighted = [layer for layer in layers if _own(layer)]
    ends = [round(len(weighted) * third / len(GROUPS)) for third in range(len(GROUPS) + 1)]
    return {name: weighted[ends[i] : ends[i + 1]] for i, name in enumerate(GROUPS)}


def _own(layer: Any) -> bool:
    """Return whether a layer has weights and no layers inside it."""
    inner = layer._flatten_layers(include_self=False)  # noqa: SLF001
    return bool(layer.weights) and next(iter(inner), None) is None
