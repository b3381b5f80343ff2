"""Graphs that load, and never give a score."""

import hashlib
import json
import shutil

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def endless_loop(shape, labels):
    """A Loop of 2^62 rounds, then scores (n, labels) of tensors (n, *shape)."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Sin", ["state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["rounds", "true", "x"], ["turned"], body=body)
    return _scored([loop], shape, labels, {"rounds": np.array(2**62), "true": np.array(True)})


def endless_operator(shape, labels, *, count=2**22, folded=False):
    """One NonMaxSuppression of so many boxes, hours for 2^22: no run of it can be ended.

    folded: its inputs are constant, so that it is computed when the graph is loaded.
    """
    sides = ("bottom", "left", "top", "right")
    make = helper.make_node
    nodes = [
        make("ReduceMin", ["x"], ["least"], keepdims=0),
        make("Mul", ["zero", "zero" if folded else "least"], ["nothing"]),
        make("Range", ["zero", "count", "one"], ["places"]),
        make("Add", ["places", "nothing"], ["left"]),
        make("Add", ["left", "half"], ["right"]),
        make("Mul", ["left", "zero"], ["bottom"]),
        make("Add", ["bottom", "one"], ["top"]),
        *(make("Reshape", [side, "column"], [f"{side} 3"]) for side in sides),
        make("Concat", [f"{side} 3" for side in sides], ["boxes"], axis=2),
        make("Reshape", ["left", "row"], ["ranks"]),
        make("NonMaxSuppression", ["boxes", "ranks", "most", "half"], ["kept"]),
        make("Cast", ["kept"], ["numbers"], to=FLOAT),
        make("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        make("Add", ["x", "sum"], ["turned"]),
    ]
    constants = {
        "zero": np.float32(0),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "count": np.float32(count),
        "column": np.array([1, count, 1]),
        "row": np.array([1, 1, count]),
        "most": np.array([count]),
    }
    return _scored(nodes, shape, labels, constants)


def _scored(nodes, shape, labels, constants):
    """A graph of these nodes, from x to `turned`, and a layer of zeros from there to the scores."""
    weights = np.zeros((int(np.prod(shape)), labels), np.float32)
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("Flatten", ["turned"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        ],
        "endless",
        [helper.make_tensor_value_info("x", FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("scores", FLOAT, ["n", labels])],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in {**constants, "weights": weights}.items()
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def put_endless(folder, name, version, graph):
    """Put a version in place: this graph, with the manifest and golden scores of another."""
    newest = max(each for each in (folder / name).iterdir() if each.name.isdigit())
    draft = folder / name / f".draft-{version}"
    shutil.copytree(newest, draft)
    (draft / "model.onnx").write_bytes(graph)
    manifest = json.loads((draft / "manifest.json").read_text())
    manifest["version"] = version
    manifest["files"]["model.onnx"] = hashlib.sha256(graph).hexdigest()
    (draft / "manifest.json").write_text(json.dumps(manifest))
    return draft.rename(folder / name / version)
