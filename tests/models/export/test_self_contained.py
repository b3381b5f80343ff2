"""A graph that takes data from other files is rejected, wherever the tensor is."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.errors import ArtefactError
from models.cli import main
from models.export.self_contained import check_self_contained
from models.session import Session
from models.store import DEFAULT_PATH, Store
from tests.models.colours import write_colours

FLOAT = TensorProto.FLOAT
OPSET = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]


def outside(name="weights", path="secret.bin", *, entries=("location",), marked=True):
    """A tensor whose data is in another file."""
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[3])
    if marked:
        tensor.data_location = TensorProto.EXTERNAL
    for key in entries:
        tensor.external_data.add(key=key, value=path if key == "location" else "0")
    return tensor


def inside(name="weights"):
    return numpy_helper.from_array(np.ones(3, np.float32), name)


def graph(nodes, *, initializer=(), sparse=(), takes=("x",), gives=("scores",)):
    return helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, FLOAT, ["n", 3]) for name in takes],
        [helper.make_tensor_value_info(name, FLOAT, ["n", 3]) for name in gives],
        initializer=list(initializer),
        sparse_initializer=list(sparse),
    )


def model(nodes, *, functions=(), **options):
    return helper.make_model(
        graph(nodes, **options), opset_imports=OPSET, ir_version=8, functions=list(functions)
    )


def add(weights="weights", gives="scores"):
    return helper.make_node("Add", ["x", weights], [gives])


def in_initialiser(tensor):
    return model([add()], initializer=[tensor])


def in_constant(tensor):
    return model([helper.make_node("Constant", [], ["weights"], value=tensor), add()])


def in_sparse_values(tensor):
    indices = numpy_helper.from_array(np.arange(3), "indices")
    return model([add()], sparse=[helper.make_sparse_tensor(tensor, indices, [3])])


def in_sparse_indices(tensor):
    return model([add()], sparse=[helper.make_sparse_tensor(inside(), tensor, [3])])


def in_sparse_attribute(tensor):
    indices = numpy_helper.from_array(np.arange(3), "indices")
    sparse = helper.make_sparse_tensor(tensor, indices, [3])
    return model([helper.make_node("Constant", [], ["weights"], sparse_value=sparse), add()])


def in_subgraph(tensor):
    """The branch of a branch: an If in an If."""
    body = graph([helper.make_node("Identity", ["w"], ["y"])], initializer=[tensor],
                 takes=(), gives=("y",))  # fmt: skip
    body.initializer[0].name = "w"
    inner = helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)
    outer = graph([inner], takes=(), gives=("z",))
    condition = numpy_helper.from_array(np.array(True), "c")
    both = helper.make_node("If", ["c"], ["weights"], then_branch=outer, else_branch=outer)
    return model([both, add()], initializer=[condition])


def in_function(tensor):
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    function = helper.make_function(
        "local", "Take", [], ["w"], [constant], [helper.make_opsetid("", 17)]
    )
    take = helper.make_node("Take", [], ["weights"], domain="local")
    return model([take, add()], functions=[function])


def in_function_default(tensor):
    default = helper.make_attribute("value", tensor)
    made = in_function(inside())
    made.functions[0].attribute_proto.append(default)
    return made


def in_tensors_attribute(tensor):
    node = helper.make_node("Add", ["x", "weights"], ["scores"])
    node.attribute.append(helper.make_attribute("many", [tensor]))
    return model([node], initializer=[inside()])


def in_training_info(tensor):
    made = in_initialiser(inside())
    made.training_info.add().algorithm.CopyFrom(graph([add()], initializer=[tensor]))
    return made


PLACES = [
    in_initialiser,
    in_constant,
    in_sparse_values,
    in_sparse_indices,
    in_sparse_attribute,
    in_subgraph,
    in_function,
    in_function_default,
    in_tensors_attribute,
    in_training_info,
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "tensor",
    [
        outside(),
        outside(path="*/_ORT_MEM_ADDR_/*", entries=("location", "offset", "length")),
        outside(entries=("offset", "location", "length", "checksum")),
        outside(path="/etc/passwd"),
        outside(marked=False),
    ],
    ids=["relative", "memory", "offset", "absolute", "not marked"],
)
def test_a_tensor_in_another_file_is_rejected_wherever_it_is(place, tensor):
    with pytest.raises(ArtefactError, match="external data"):
        check_self_contained(place(tensor).SerializeToString())


@pytest.mark.parametrize("place", PLACES)
def test_the_same_graph_with_its_data_inside_passes(place):
    # The word by which external data is found is in it, so that every field is looked at.
    made = place(inside())
    made.doc_string = "location"
    check_self_contained(made.SerializeToString())


def test_a_location_written_in_more_bytes_than_needed_is_seen():
    tensor = outside(entries=()).SerializeToString()
    assert tensor.endswith(b"\x70\x01")
    longer = b"\x70\x81\x80\x80\x80\x10"  # 1 in its lower 32 bits
    data = in_initialiser(inside()).SerializeToString()
    whole = onnx.ModelProto.FromString(data)
    whole.graph.ClearField("initializer")
    body = whole.graph.SerializeToString()
    tensor = tensor[:-2] + longer
    body += b"\x2a" + bytes([len(tensor)]) + tensor
    whole.ClearField("graph")
    with pytest.raises(ArtefactError, match="external data"):
        check_self_contained(
            whole.SerializeToString() + b"\x3a" + varint(len(body)) + body + b"\x32\x08location"
        )


def varint(value):
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def test_a_marked_tensor_without_a_place_is_rejected_by_the_session():
    with pytest.raises(ArtefactError):
        Session(in_initialiser(outside(entries=())).SerializeToString())


def test_the_session_rejects_it_before_onnx_runtime_is_loaded():
    code = (
        "import sys\nfrom models.session import Session\n"
        f"try: Session({in_initialiser(outside()).SerializeToString()!r})\n"
        "except Exception as error: print(error)\n"
        "print('onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "external data" in done.stdout
    assert done.stdout.endswith("False\n")


def test_compiled_contexts_and_the_format_of_onnx_runtime_are_rejected():
    node = helper.make_node("EPContext", ["x"], ["scores"], domain="com.microsoft")
    with pytest.raises(ArtefactError, match="EPContext"):
        check_self_contained(model([node]).SerializeToString())
    with pytest.raises(ArtefactError, match="own format"):
        check_self_contained(b"\x1c\0\0\0ORTM" + bytes(100))


@pytest.mark.parametrize(
    "data",
    [
        b"location\xff",
        b"\x3a\x7flocation",
        b"\x3b\x0a\x08location",
        b"\x80" * 11 + b"location",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + b"location",
    ],
)
def test_what_is_no_graph_is_rejected(data):
    with pytest.raises(ArtefactError, match="not an ONNX graph"):
        check_self_contained(data)


def test_the_shipped_graphs_refer_to_no_file():
    for path in DEFAULT_PATH.glob("*/*/model.onnx"):
        check_self_contained(path.read_bytes() + b"\x32\x08location")


def test_store_and_verify_reject_such_an_artefact(tmp_path, capsys):
    folder = write_colours(tmp_path)
    store = Store(folder)
    version = store.versions("colours")[-1]
    target = folder / "colours" / "7"
    shutil.copytree(folder / "colours" / version, target)
    found = onnx.load(target / "model.onnx")
    moved = found.graph.initializer[0]
    moved.CopyFrom(outside(moved.name))
    (target / "model.onnx").write_bytes(found.SerializeToString())
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["version"] = "7"
    digest = hashlib.sha256((target / "model.onnx").read_bytes()).hexdigest()
    manifest["files"]["model.onnx"] = digest
    (target / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match="external data"):
        store.load("colours", "7")
    assert main(["verify", "--artefacts", str(folder), "--json"]) == 1
    assert "external data" in capsys.readouterr().out
