"""Quantises a network to half precision or 8-bit integers, and measures what that costs.

Imports ONNX Runtime, as models/session.py does: its quantisation tools work on graphs, not on
sessions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import ArtefactError, Unprocessable
from models.artefact import place
from models.calibration import Material, collected, golden
from models.session import Session
from models.store import Store

if TYPE_CHECKING:
    from models.store import Model

How: TypeAlias = Literal["fp16", "int8"]
TOLERANCE: dict[How, float] = {"fp16": 0.02, "int8": 0.08}
"""Largest difference of golden scores: processors round such sums in different ways."""
BATCHES = (1, 32)
RUNS, RUN_S = 5, 2.0
"""At least so many calls, and so many seconds, of each pair."""
QUANTISED = (
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Relu",
    "Clip",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
)
HEAVY = ("Conv", "Gemm", "MatMul")


def quantize(
    store: Store, name: str, version: str | None, *, how: How, calibration: Path | None, out: Path
) -> tuple[Path, dict[str, Any]]:
    """Write a network in lower precision below `out`; return its folder and the measurements.

    calibration: folder, zip or pack of typical files; sub-folders named after labels also give
    top-1. Without it, the golden inputs are used. Raises NotFound, InputError, Unprocessable,
    ArtefactError.
    """
    model = store.load(name, version)
    folder = store.path / name / model.version
    graph = (folder / "model.onnx").read_bytes()
    material = golden(folder) if calibration is None else collected(model, calibration)
    smaller = _half(graph) if how == "fp16" else _integers(graph, material.calibration)
    try:
        session = Session(smaller)
    except ArtefactError as error:
        raise Unprocessable(f"{name} {model.version} cannot be made {how}: {error}") from error
    measured = {
        "from": f"{name} {model.version}",
        "how": how,
        "material": material.about,
        "provider": session.provider,
        "mb": [len(graph) / 1e6, len(smaller) / 1e6],
        **_accuracy(model, session, material),
        **_speed(model.session, session, material.evaluation),
    }
    return _write(model, smaller, measured, how=how, original=folder, out=out), measured


def _half(graph: bytes) -> bytes:
    """Return the graph in half precision, with inputs and scores unchanged."""
    onnx = _onnx()
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    model = _heavy(onnx.load_from_string(graph))
    # The converter would change the type that a Cast names.
    half = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, "Cast"]
    )
    made: bytes = half.SerializeToString()
    return made


def _integers(graph: bytes, calibration: npt.NDArray[Any]) -> bytes:
    """Return the graph with 8-bit activations and 7-bit weights, except for the last layer.

    Seven bits, because the products of two times eight overflow on processors without VNNI.
    """
    onnx = _onnx()
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    model = _heavy(onnx.load_from_string(graph))
    name, batches = (
        model.graph.input[0].name,
        iter(np.array_split(calibration, range(32, len(calibration), 32))),
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            batch = next(batches, None)
            return None if batch is None else {name: batch}

    with tempfile.TemporaryDirectory() as folder:
        given, ready, made = (
            Path(folder) / name for name in ("given.onnx", "ready.onnx", "made.onnx")
        )
        given.write_bytes(model.SerializeToString())
        quant_pre_process(given, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            made,
            Reader(),
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_last_layers(onnx.load(ready)),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return made.read_bytes()


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise Unprocessable(
            "quantising needs the package onnx: pip install 'timbre[train]'"
        ) from error
    return onnx


def _heavy(model: Any) -> Any:
    """Return the graph with all nodes named. Raises Unprocessable if it has no heavy operator."""
    kinds = {node.op_type for node in model.graph.node}
    if any(node.domain == "ai.onnx.ml" for node in model.graph.node) or not kinds & set(HEAVY):
        raise Unprocessable(
            "only networks are quantised: this graph has trees, or no Conv, Gemm or MatMul"
        )
    for number, node in enumerate(model.graph.node):
        # Nodes are excluded from quantisation by name.
        node.name = node.name or f"node{number}"
    return model


def _last_layers(model: Any) -> list[str]:
    """Return the names of the last layer, whose sums become the scores, and of what follows it."""
    heavy = [at for at, node in enumerate(model.graph.node) if node.op_type in HEAVY]
    return [node.name for node in model.graph.node[heavy[-1] :]]


def _accuracy(model: Model, session: Session, material: Material) -> dict[str, Any]:
    before, after = (_predict(each, material.evaluation) for each in (model.session, session))
    if model.manifest.task == "multi-class":
        same = before.argmax(axis=1) == after.argmax(axis=1)
    else:
        same = (before >= model.thresholds) == (after >= model.thresholds)
    found = {"agreement": float(same.mean()), "score_off": float(np.abs(before - after).mean())}
    if material.truth is None:
        return found
    truth = np.array(material.truth)
    return {
        **found,
        "top1": [float((scores.argmax(axis=1) == truth).mean()) for scores in (before, after)],
    }


def _predict(session: Session, tensors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.concatenate(
        [session.predict(tensors[at : at + 32]) for at in range(0, len(tensors), 32)]
    )


def _speed(before: Session, after: Session, tensors: npt.NDArray[Any]) -> dict[str, list[float]]:
    """Return median milliseconds of both for each batch size, measured in turn."""
    found = {}
    for size in BATCHES:
        batch = np.resize(tensors, (size, *tensors.shape[1:]))
        times: list[list[float]] = [[], []]
        until = time.perf_counter() + RUN_S
        while len(times[0]) < RUNS or time.perf_counter() < until:
            for each, session in zip(times, (before, after), strict=True):
                begin = time.perf_counter()
                session.predict(batch)
                each.append(1e3 * (time.perf_counter() - begin))
        found[f"ms_{size}"] = [float(np.median(each)) for each in times]
    return found


def _write(
    model: Model, graph: bytes, measured: dict[str, Any], *, how: How, original: Path, out: Path
) -> Path:
    files = {
        "model.onnx": graph,
        "golden.npz": _golden_scores(graph, original),
        "report.md": _report(
            model, measured, (original / "report.md").read_text(encoding="utf-8")
        ).encode(),
    }
    versions = [
        model.version,
        *_versions(Store(out), model.name),
        *_versions(Store(original.parents[1]), model.name),
    ]
    metrics: dict[str, Any] = {"quantised": measured, "original": model.manifest.metrics}
    if "top1" in measured:
        metrics["top1"] = measured["top1"][1]
    manifest = dataclasses.replace(
        model.manifest,
        version=str(max(map(int, versions)) + 1),
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        metrics=metrics,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tolerance=TOLERANCE[how],
    )
    where = out / model.name / manifest.version
    return place(where, files | {"manifest.json": manifest.to_json().encode()})


def _versions(store: Store, name: str) -> list[str]:
    return store.versions(name) if name in store.names() else []


def _golden_scores(graph: bytes, original: Path) -> bytes:
    inputs, buffer = golden(original).evaluation, io.BytesIO()
    np.savez_compressed(buffer, inputs=inputs, scores=Session(graph).predict(inputs))
    return buffer.getvalue()


def _report(model: Model, measured: dict[str, Any], original: str) -> str:
    """Return what was measured as Markdown, before the report of the original."""
    rows = [
        ("size, MB", measured["mb"], ".3g"),
        *((f"{n} at a time, ms", measured[f"ms_{n}"], ".3g") for n in BATCHES),
    ]
    if "top1" in measured:
        rows.append(("top-1", measured["top1"], ".3f"))
    lines = [
        f"| {what} | {before:{form}} | {after:{form}} |" for what, (before, after), form in rows
    ]
    alike = (
        "of the pictures keep their best label"
        if model.manifest.task == "multi-class"
        else "of all labels stay"
    )
    agreement = (
        f"{measured['agreement']:.1%} {alike}; "
        f"scores differ by {measured['score_off']:.4f} on average."
    )
    return "\n".join(
        [
            f"# {model.name}: {measured['from']} in {measured['how']}",
            "",
            f"Measured on {measured['material']}; on {measured['provider']}, one thread.",
            agreement,
            "",
            f"| | {measured['from']} | {measured['how']} |",
            "|---|---:|---:|",
            *lines,
            "",
            "The report of the original network follows; its figures are those of the original.",
            "",
            original,
        ]
    )
