"""Reads weights of torchvision, .pth, .pt or .safetensors, into a Keras backbone."""

from __future__ import annotations

import json
import re
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.errors import MaterialError
from training.pictures.dataset.folders import some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

State = dict[str, "npt.NDArray[np.float32]"]
SUFFIXES = {".pth", ".pt", ".safetensors"}
LARGEST_HEADER = 100_000_000
"""Bytes of the JSON before the numbers, as the format itself bounds it."""
KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
COUNTED = re.compile(r".*\.num_batches_tracked$")
"""What only a training needs."""
CLASSIFIER = re.compile(r"(fc|classifier)\.")
"""Left out of a backbone, whose classifier is trained anew."""
CLASSIFIERS = {
    frozenset(f"{layer}.{part}" for layer in layers for part in ("weight", "bias")): (
        f"{layers[-1]}.weight"
    )
    for layers in (("fc",), ("classifier.0", "classifier.3", "classifier.6"))
}
"""Names of all weights of torchvision's classifiers, and which is of the classes."""
PARTS = {
    "Conv2D": ("weight", "bias"),
    "Dense": ("weight", "bias"),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}
"""torchvision's names of the weights, in Keras's order."""


def load(body: Any, path: Path, name: str) -> None:
    """Load the file's weights into a network of torchvision's architecture `name`.

    The file's classifier is left out if the network has none.

    Raises MaterialError for a file that is damaged or holds more than numbers, and naming the first
    weights that are missing, unknown or of another shape.
    """
    state = read_state(path)
    wanted = {key: (layer, at) for key, layer, at in _table(body)}
    given = {key for key in state if not COUNTED.match(key)}
    if not any(map(CLASSIFIER.match, wanted)):
        given = {key for key in given if not CLASSIFIER.match(key)}
    if missing := [key for key in wanted if key not in given]:
        raise MaterialError(f"{path} does not hold weights of {name}: no {some(missing)}")
    if unknown := sorted(given - wanted.keys()):
        raise MaterialError(f"{path} does not hold weights of {name}: it has {some(unknown)} too")
    arrays: dict[int, list[Any]] = {}
    for key, (layer, at) in wanted.items():
        shape, array = tuple(layer.weights[at].shape), state[key]
        # Keras has outputs last; PyTorch first, then inputs, then height and width.
        theirs = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        if theirs.shape != shape:
            ours = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]
            raise MaterialError(
                f"{path} does not hold weights of {name}: {key} has the shape {array.shape}, "
                f"not {ours}"
            )
        arrays.setdefault(id(layer), []).append(theirs)
    for layer in {id(layer): layer for layer, _ in wanted.values()}.values():
        layer.set_weights(arrays[id(layer)])


def classes(path: Path) -> int:
    """Return how many classes torchvision's own classifier in a file has; 0 without one.

    Raises MaterialError.
    """
    state = read_state(path)
    last = CLASSIFIERS.get(frozenset(filter(CLASSIFIER.match, state)))
    return len(state[last]) if last else 0


def _table(body: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield torchvision's name of all weights, with their layer and place in it."""
    for layer in (one for one in body.layers if one.weights):
        for at, part in enumerate(PARTS[type(layer).__name__][: len(layer.weights)]):
            yield f"{layer.name.replace('_', '.')}.{part}", layer, at


def read_state(path: Path) -> State:
    """Return the tensors of a file by name, as float32; no code of it is run.

    Raises MaterialError.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    import torch

    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # pickle, zipfile and torch have their own errors
        raise MaterialError(f"{path} is not a PyTorch file of weights alone: {error}") from error
    for inner in ("state_dict", "model_state_dict", "model"):
        found = found.get(inner, found) if isinstance(found, dict) else found
    tensors = isinstance(found, dict) and all(torch.is_tensor(one) for one in found.values())
    if not tensors or not found:
        raise MaterialError(f"{path} holds no table of weights by name")
    return {
        str(key).removeprefix("module."): value.detach().float().numpy()
        for key, value in found.items()
    }


def _safetensors(path: Path) -> State:
    """Return the tensors of a .safetensors file: a length, a JSON table, the numbers."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(LARGEST_HEADER, len(data) - 8):
        raise MaterialError(f"{path} is not a .safetensors file, or is cut")
    try:
        table, numbers = json.loads(data[8 : 8 + size]), memoryview(data)[8 + size :]
        return {
            key.removeprefix("module."): _array(numbers, entry)
            for key, entry in table.items()
            if key != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MaterialError(f"{path} is not a .safetensors file: {error}") from error


def _array(numbers: memoryview, entry: dict[str, Any]) -> npt.NDArray[np.float32]:
    if entry["dtype"] == "I64":  # counters
        return np.zeros(entry["shape"], np.float32)
    kind, (begin, end) = np.dtype(KINDS[entry["dtype"]]), entry["data_offsets"]
    if not 0 <= begin <= end <= len(numbers) or end - begin != prod(entry["shape"]) * kind.itemsize:
        raise ValueError("an offset is beyond the file, or of another size than its shape")
    raw = np.frombuffer(numbers[begin:end], kind).reshape(entry["shape"])
    if entry["dtype"] == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)
