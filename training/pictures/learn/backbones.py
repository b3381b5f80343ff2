"""Backbones by name: from pixels of 0 to 255 to one pooled vector for each picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from common.atomic import atomic_file
from training.common.errors import MaterialError
from training.common.recipe import RecipeError
from training.pictures.dataset.folders import some
from training.pictures.learn import torch_weights
from training.pictures.learn.network import keras_on_torch
from training.pictures.learn.torchvision_bodies import RESNETS, resnet, vgg19

POOLINGS = ("average", "flatten")
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
    "resnet101": Backbone("ResNet101", "blue-first"),
    "resnet152": Backbone("ResNet152", "blue-first"),
    "resnet50-v2": Backbone("ResNet50V2", "unit"),
    "resnet101-v2": Backbone("ResNet101V2", "unit"),
    "resnet152-v2": Backbone("ResNet152V2", "unit"),
    **{name: Backbone("", "standard") for name in RESNETS},
    "vgg19": Backbone("VGG19", "blue-first"),
    "vgg19-torchvision": Backbone("", "standard"),
    "xception": Backbone("Xception", "unit"),
    "mobilenet-v3-small": Backbone("MobileNetV3Small", "own"),
    "mobilenet-v3-large": Backbone("MobileNetV3Large", "own"),
    "efficientnet-v2-b0": Backbone("EfficientNetV2B0", "own"),
    "convnext-tiny": Backbone("ConvNeXtTiny", "own"),
}
TORCHVISION = (*RESNETS, "vgg19-torchvision")
"""Backbones that take the weights of torchvision, and not Keras's."""
NAMED = (*TORCHVISION, "vgg19")
"""Backbones of which others have the same shapes, and other pixels or padding."""
BLUE_FIRST_MEAN = (103.939, 116.779, 123.68)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def check_backbone(name: str, weights: str) -> None:
    """Raise RecipeError for an unknown backbone, and for weights that Keras does not have."""
    if name not in BACKBONES:
        raise RecipeError(f"backbone={name!r} must be one of {', '.join(BACKBONES)}")
    if weights == "keras" and name in TORCHVISION:
        raise RecipeError(
            f"Keras has no weights of {name}: name a file of torchvision's, .pth or .safetensors, "
            "or network.weights=none"
        )


def build(
    name: str, *, height: int, width: int, weights: str, seed: int, pooling: str = "average"
) -> Any:
    """Return the backbone as a Keras model from float pixels (n, height, width, 3) to (n, numbers).

    weights: none (random, from the seed), keras (ImageNet's, downloaded once by Keras), or a file:
    .weights.h5, .h5 or .keras, of torchvision's also .pth, .pt or .safetensors. pooling: average (a
    number for each map) or flatten (every number). Raises RecipeError for pictures that are too
    small, MaterialError for weights that are missing or of another architecture.
    """
    check_backbone(name, weights)
    keras = keras_on_torch()
    keras.utils.set_random_seed(seed)
    try:
        body = _body(name, height=height, width=width)
    except ValueError as error:
        raise RecipeError(f"{name} on {width} x {height} pixels: {error}") from error
    load(body, name, weights, shape=(height, width, 3))
    body = _maps(body) if pooling == "flatten" else body
    return _from_pixels(body, name, height=height, width=width)


def build_whole(name: str, path: Path, *, height: int, width: int, classes: int) -> Any:
    """Return a network with the classifier that it came with, from float pixels to (n, classes).

    path: the weights of all of it; of TORCHVISION .pth, .pt or .safetensors, of others Keras's.
    Raises RecipeError for an unknown name and for pictures of a size that it cannot take,
    MaterialError for weights that are missing or of another architecture or number of classes.
    """
    check_backbone(name, str(path))
    try:
        body = _whole_body(name, (height, width, 3), classes)
    except ValueError as error:
        raise RecipeError(f"{name} on {width} x {height} pixels: {error}") from error
    load(body, name, str(path), shape=(height, width, 3), top=f"with {classes:,} classes")
    return _from_pixels(body, name, height=height, width=width)


def _whole_body(name: str, shape: tuple[int, int, int], classes: int) -> Any:
    if name in TORCHVISION:
        if name in RESNETS:
            return resnet(name, shape, classes=classes)
        return vgg19(shape, classes=classes)
    make = getattr(keras_on_torch().applications, BACKBONES[name].maker)
    return make(weights=None, input_shape=shape, classes=classes)


def _from_pixels(body: Any, name: str, *, height: int, width: int) -> Any:
    keras = keras_on_torch()
    pixels = keras.Input((height, width, 3), name="pixels")
    x = body(_normalised(keras, pixels, BACKBONES[name].pixels))
    return keras.Model(
        pixels, x if len(x.shape) == 2 else keras.layers.Flatten()(x), name="backbone"
    )


def _maps(body: Any) -> Any:
    """Return a network up to its last pooling, to feature maps."""
    keras = keras_on_torch()
    pooling = keras.layers.GlobalAveragePooling2D
    last = next(layer for layer in reversed(body.layers) if isinstance(layer, pooling))
    return keras.Model(body.inputs, last.input, name=body.name)


def _body(name: str, *, height: int, width: int, weights: str | None = None) -> Any:
    keras, shape = keras_on_torch(), (height, width, 3)
    if name in TORCHVISION:
        return resnet(name, shape) if name in RESNETS else vgg19(shape)
    make = getattr(keras.applications, BACKBONES[name].maker)
    return make(include_top=False, weights=weights, input_shape=shape, pooling="avg")


def load(
    body: Any,
    name: str,
    weights: str,
    *,
    shape: tuple[int, int, int],
    top: str = "without its top",
) -> None:
    """Load weights into a backbone. Raises MaterialError for missing or unsuitable ones.

    top: what the error says of the classifier.
    """
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
            f"no weights {path}: network.weights takes keras, none, or a .weights.h5, .h5, "
            ".keras, .pth, .pt or .safetensors file"
        )
    if path.suffix in torch_weights.SUFFIXES:
        _load_torch(body, name, path)
        return
    try:
        if name in NAMED:
            _check_layers(body, path)
        if path.suffix == ".keras":
            body.set_weights(keras_on_torch().saving.load_model(path, compile=False).get_weights())
        else:
            body.load_weights(path)
    except Exception as error:
        raise MaterialError(f"{path} does not hold weights of {name} {top}: {error}") from error


def _check_layers(body: Any, path: Path) -> None:
    """Raise MaterialError for a file whose layers have other names.

    Keras compares shapes alone. Those of a ResNet that pads otherwise, and of the VGG19 that takes
    other pixels, are the same, and so would be read, and give other numbers.
    """
    if path.suffix == ".keras":
        model = keras_on_torch().saving.load_model(path, compile=False)
        found = {layer.name for layer in model.layers if layer.weights}
    else:
        found = _saved_layers(path)
    if missing := [one.name for one in body.layers if one.weights and one.name not in found]:
        raise MaterialError(
            f"it has the layers {some(sorted(found))}, but not {some(missing)}: those of "
            "another network of the same shapes, which pads otherwise or takes other pixels"
        )


def _saved_layers(path: Path) -> set[str]:
    """Return the names of the layers with weights in a .weights.h5 or .h5 file."""
    import h5py

    found = set[str]()

    def visit(place: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and len(item):
            # A layer of Keras 3 is named on the group of its weights, one of Keras 2 by a group.
            own = str(item.attrs["name"]) if "name" in item.attrs else place.rpartition("/")[2]
            found.add(own)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def _load_torch(body: Any, name: str, path: Path) -> None:
    if name not in TORCHVISION:
        same = f"{name}-torchvision"
        instead = f"network.backbone={same} takes them" if same in TORCHVISION else "others do"
        raise MaterialError(
            f"{path}: {name} takes Keras's weights, whose pixels or layers differ from PyTorch's; "
            f"{instead} ({', '.join(TORCHVISION)})"
        )
    torch_weights.load(body, path, name)


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
