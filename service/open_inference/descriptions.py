"""What the Open Inference Protocol tells of the server and its models."""

from __future__ import annotations

from typing import Any

from models.store import Model
from service.inference.registry import ModelRegistry
from service.open_inference.tensors import input_of, output_of

SERVER = "timbre"
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)
"""The parts of the protocol that are served beside its core."""
PLATFORM = "onnx_onnxv1"
READY, UNAVAILABLE = "READY", "UNAVAILABLE"
UNLOADED = "unloaded"
Document = dict[str, Any]


def server_metadata(version: str) -> Document:
    """Return what the server is. version: of Timbre."""
    return {"name": SERVER, "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(model: Model, versions: list[str]) -> Document:
    """Return the inputs and outputs of a model, and its labels. versions: that can be asked."""
    tensors = {"inputs": input_of(model), "outputs": output_of(model)}
    return {
        "name": model.name,
        "versions": versions,
        "platform": PLATFORM,
        **{
            role: [{"name": spec.name, "datatype": spec.datatype, "shape": [-1, *spec.shape]}]
            for role, spec in tensors.items()
        },
        "parameters": {"labels": model.labels},
    }


def model_config(model: Model, *, max_rows: int, max_batch: int) -> Document:
    """Return a model as Triton's ModelConfig describes one.

    max_rows: of one request. max_batch: rows that one call of the model takes.
    """
    taken, given = input_of(model), output_of(model)
    return {
        "name": model.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": max_rows,
        "input": [
            {
                "name": taken.name,
                "data_type": f"TYPE_{taken.datatype}",
                "format": "FORMAT_NONE",
                "dims": list(taken.shape),
            }
        ],
        "output": [
            {
                "name": given.name,
                "data_type": f"TYPE_{given.datatype}",
                "dims": list(given.shape),
            }
        ],
        "dynamic_batching": {
            "preferred_batch_size": [max_batch],
            "max_queue_delay_microseconds": 0,
        },
    }


def usable_versions(registry: ModelRegistry, name: str) -> list[str]:
    """Return the versions that a request may name, oldest first."""
    rejected = registry.rejected(name)
    return [version for version in registry.versions(name) if version not in rejected]


def repository_index(registry: ModelRegistry, *, ready: bool = False) -> list[Document]:
    """Return every version of every model and whether requests may name it, and if not, why.

    ready: those only that they may name.
    """
    found = []
    for name in registry.known():
        reasons = registry.rejected(name)
        versions = sorted({*registry.versions(name), *reasons}, key=_order)
        if name not in registry.served:
            reasons = {version: reasons.get(version, UNLOADED) for version in versions}
        found += [
            {
                "name": name,
                "version": version,
                "state": UNAVAILABLE if version in reasons else READY,
                "reason": reasons.get(version, ""),
            }
            for version in versions
        ]
    return [each for each in found if each["state"] == READY or not ready]


def _order(version: str) -> tuple[int, str]:
    """Return the place of a version; what is none, such as the file of a pin, comes last."""
    return (int(version), "") if version.isdecimal() else (10**9, version)
