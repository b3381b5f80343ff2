"""Writes artefacts: complete or not at all, and only if the store loads them."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.atomic import atomic_folder
from common.errors import ArtefactError
from common.strict_json import to_json
from features.config import DEFAULT
from models.kinds import Config, kind_of
from models.manifest import InputSpec, Label, Manifest, Source, Task
from models.session import Session
from models.store import Store, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.config import Tensor


def write(
    folder: Path,
    *,
    name: str,
    version: str | None = None,
    task: Task,
    kind: str,
    config: Config = DEFAULT,
    labels: Sequence[Label],
    onnx: bytes,
    golden_inputs: Tensor,
    report: str,
    metrics: dict[str, Any],
    provenance: list[Source],
    libraries: dict[str, str],
    origin: dict[str, Any] | None = None,
) -> Path:
    """Write an artefact into folder/NAME/VERSION/ and return that path.

    version: a positive integer as text; None is the one after the latest. kind, config: how the
    tensors were made; shape and fingerprint follow from them. Sound: "features", "log_mel" or
    "samples" and an AudioConfig. Pictures: "picture" and a PictureConfig. labels:
    Label(name=..., threshold=...) in the order of the scores. onnx: a graph with one input (n,
    *shape) and one output of scores (n, labels), float32; of several classes, they add up to 1.
    The shape of sound is config.shape(kind), float32. Pictures are uint8 (height, width, 3),
    RGB; with metadata uint8 (3 * height * width + config.extra,), as features.picture.tensor
    makes them. Scaling, normalising, moving the channels and taking pixels and metadata apart
    belong to the graph. golden_inputs: tensors (n, *shape), a few dozen typical ones; their
    scores are computed here and compared at every load. metrics: any finite JSON. provenance:
    {"source", "licence", "use"} each. libraries: {"scikit-learn": "1.9.1", ...}. origin: how to
    reproduce it; any finite JSON.

    The artefact appears complete or not at all. Raises ArtefactError if the version exists already,
    or if the parts are inconsistent: the files are loaded once, with every check of the store.
    Raises Unprocessable if the golden inputs are not those of the graph.
    """
    files = {
        "model.onnx": onnx,
        "golden.npz": _golden(onnx, golden_inputs),
        "report.md": report.encode(),
    }
    manifest = Manifest(
        name=name,
        version=version or _next_version(Store(folder), name),
        task=task,
        input=_spec(kind=kind, config=config),
        labels=tuple(labels),
        files={file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        metrics=metrics,
        provenance=provenance,
        libraries=libraries,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        origin=origin or {},
    )
    return place(
        Path(folder) / name / manifest.version,
        files | {"manifest.json": manifest.to_json().encode()},
    )


def _spec(*, kind: str, config: Config) -> InputSpec:
    found = kind_of(kind)
    found.check(config)
    return InputSpec(
        kind=kind,
        dtype=found.dtype,
        shape=found.shape(config),
        # As it is read again: JSON has no tuples.
        configuration=json.loads(to_json(asdict(config))),
        fingerprint=found.fingerprint(config),
    )


def _next_version(store: Store, name: str) -> str:
    return str(int(store.versions(name)[-1]) + 1) if name in store.names() else "1"


def _golden(onnx: bytes, inputs: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, inputs=inputs, scores=Session(onnx).predict(inputs))
    return buffer.getvalue()


def place(target: Path, files: dict[str, bytes]) -> Path:
    """Write the files of an artefact as the folder `target`, which appears complete or not at all.

    Raises ArtefactError if the target exists, or if the store would reject the files.
    """
    try:
        with atomic_folder(target) as draft:
            for name, content in files.items():
                (draft / name).write_bytes(content)
            read(draft)
    except FileExistsError as error:
        raise ArtefactError(f"{target.parent.name} {target.name} exists already") from error
    return target
