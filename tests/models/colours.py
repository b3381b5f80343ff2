"""Small picture models with known scores for red, green and blue, with optional metadata."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from features.config import Metadata, PictureConfig
from features.picture import decode, tensor
from models.artefact import write
from models.manifest import Label
from tests.features.pictures import save, scene

LABELS = [Label(name=name, threshold=0.5) for name in ("red", "green", "blue")]
CONFIG = PictureConfig(height=24, width=32)
REGION = Metadata(name="region", values=("land", "sea"))
SEASON = Metadata(name="season", values=("dry", "wet"), required=False)


def graph(config=CONFIG):
    """uint8 pixels and metadata to softmax(10 x mean colour + 20 x the third colour at `sea`)."""
    height, width, extra = config.height, config.width, config.extra
    constants = {
        "scale": np.float32(1 / 255),
        "kernel": np.eye(3, dtype=np.float32)[:, :, None, None],
        "ends": np.array([3 * height * width, extra], np.int64),
        "shape": np.array([-1, height, width, 3], np.int64),
        "weights": 10 * np.eye(3, dtype=np.float32),
        "places": np.zeros((max(1, extra), 3), np.float32),
        "bias": np.zeros(3, np.float32),
    }
    if extra:
        constants["places"][1, 2] = 20
    node = helper.make_node
    taken_apart = [
        node("Split", ["x", "ends"], ["flat", "told"], axis=1),
        node("Reshape", ["flat", "shape"], ["pixels"]),
        node("Cast", ["told"], ["facts"], to=TensorProto.FLOAT),
        node("MatMul", ["facts", "places"], ["place"]),
    ]
    nodes = [
        *(taken_apart if extra else [node("Identity", ["x"], ["pixels"])]),
        node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        node("Mul", ["numbers", "scale"], ["scaled"]),
        node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "kernel"], ["convolved"]),
        node("Relu", ["convolved"], ["positive"]),
        node("GlobalAveragePool", ["positive"], ["pooled"]),
        node("Flatten", ["pooled"], ["mean"]),
        node("Gemm", ["mean", "weights", "bias"], ["colour"]),
        node("Add", ["colour", "place"], ["sum"])
        if extra
        else node("Identity", ["colour"], ["sum"]),
        node("Softmax", ["sum"], ["scores"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", *config.shape])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])]
    used = {name for each in nodes for name in each.input}
    kept = [
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
    ]
    made = helper.make_graph(nodes, "colours", inputs, outputs, kept)
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


def golden(config=CONFIG):
    """Tensors of a few pictures of all colours."""
    told = {field.name: field.values[0] for field in config.metadata}
    pictures = [scene().rotate(turn) for turn in range(0, 360, 60)]
    return np.stack([tensor(decode(save(each, "PNG"), config), config, told) for each in pictures])


def fields(config=CONFIG):
    """What `write` wants to know."""
    return {
        "task": "multi-class",
        "kind": "picture",
        "config": config,
        "labels": LABELS,
        "onnx": graph(config),
        "golden_inputs": golden(config),
        "report": "# Colours\n",
        "metrics": {"top1": 1.0},
        "provenance": [{"source": "made here", "licence": "CC0-1.0", "use": "training"}],
        "libraries": {"numpy": np.__version__},
    }


def write_colours(folder):
    """Write `colours`, and `places`, which wants a region and may be told a season."""
    write(folder, name="colours", **fields())
    write(
        folder,
        name="places",
        **fields(PictureConfig(height=24, width=32, metadata=(REGION, SEASON))),
    )
    return folder
