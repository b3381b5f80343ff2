"""A picture model with known scores, and pictures in folders named after its classes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.models.colours import write_colours

COLOURS = {"red": (230, 20, 30), "Green": (20, 200, 40), "blue": (10, 40, 220)}

KERNEL = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)


def graph(path, nodes, takes, constants):
    """Write an ONNX network from floats (n, *takes) to three logits."""
    first = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *takes])
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "made", [first], [gives], held)
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


@pytest.fixture
def classes(tmp_path):
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    return tmp_path / "classes.txt"


@pytest.fixture
def linear(tmp_path):
    """An ONNX network of the mean colour of 8 x 8 pixels, from floats, channels first."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["logits"]),
    ]
    return graph(tmp_path / "linear.onnx", nodes, [3, 8, 8], {"kernel": KERNEL})


def save(path, colour, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(colour, 30, (30, 40, 3))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    """Six of each colour; two of blue in the folder of red, four of no class, one unreadable."""
    root = tmp_path_factory.mktemp("album") / "colours"
    for number, (name, colour) in enumerate(COLOURS.items()):
        for i in range(6):
            save(root / name / f"{i}.png", colour, 10 * number + i)
    for i in (6, 7):
        save(root / "red" / f"{i}.png", COLOURS["blue"], i)
    for i in range(4):
        save(root / "light red" / f"{i}.png", COLOURS["red"], i)
    (root / "blue" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root
