"""Networks given by path: known by all their files."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.training.sound_models.helpers.filterbank import filterbank
from training.common.errors import MaterialError
from training.sound_models import given_network
from training.sound_models.given_network import files_of, known, path_of, read_network, stated


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@pytest.fixture
def alone(tmp_path):
    return filterbank(tmp_path / "net.onnx", window=8000)


@pytest.fixture
def split(alone):
    """The same network with its weights in a file of their own."""
    onnx.save(
        onnx.load(alone), alone, save_as_external_data=True, location="net.data", size_threshold=0
    )
    return alone


def other_weights(data):
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)


def test_a_shipped_network_is_taken_by_its_name_and_others_by_their_path(tmp_path, monkeypatch):
    monkeypatch.setattr(given_network, "SHIPPED", tmp_path / "backbones")
    (tmp_path / "backbones").mkdir()
    (tmp_path / "backbones" / "ours.onnx").touch()
    assert path_of("ours") == tmp_path / "backbones" / "ours.onnx"
    assert path_of("./ours") == Path("ours")
    assert path_of("theirs") == Path("theirs")
    assert path_of("other.onnx") == Path("other.onnx")
    assert path_of("../backbones/ours") == Path("../backbones/ours")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/other.onnx") == tmp_path / "other.onnx"
    assert path_of("") == Path()


def test_a_network_of_one_file_is_known_by_its_sha256(alone):
    assert files_of(alone) == [alone]
    assert known(alone) == digest(alone)
    assert stated(alone) == f"net.onnx, sha256 {digest(alone)}..."


def test_other_weights_beside_the_same_file_are_another_network(split):
    data = split.parent / "net.data"
    first, file = known(split), digest(split)
    assert files_of(split) == [split, data]
    assert first != file
    other_weights(data)
    assert digest(split) == file
    assert known(split) != first
    assert stated(split) == f"net.onnx, sha256 {file}...; net.data, sha256 {digest(data)}..."


def test_weights_in_constants_of_nodes_and_of_branches_are_found(tmp_path):
    def constant(name):
        tensor = numpy_helper.from_array(np.arange(9, dtype=np.float32), name)
        onnx.external_data_helper.set_external_data(tensor, f"{name}.data", 0, 36)
        (tmp_path / f"{name}.data").write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        return tensor

    out = [helper.make_tensor_value_info("y", 1, [9])]
    node = helper.make_node("Constant", [], ["y"], value=constant("inner"))
    branch = helper.make_graph([node], "branch", [], out, [constant("deep")])
    condition = numpy_helper.from_array(np.array(True), "on")
    whole = helper.make_node("If", ["on"], ["y"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph([whole], "whole", [], out, [condition, constant("outer")])
    (tmp_path / "net.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    names = [one.name for one in files_of(tmp_path / "net.onnx")]
    assert names == ["net.onnx", "deep.data", "inner.data", "outer.data"]


def test_weights_that_are_not_there_or_not_whole_are_named(split):
    data = split.parent / "net.data"
    data.write_bytes(data.read_bytes()[:50])
    with pytest.raises(MaterialError, match=r"net\.onnx cannot be read as an ONNX.*\(42 bytes"):
        read_network(split)
    data.unlink()
    with pytest.raises(MaterialError, match=r"net\.onnx cannot be read as an ONNX.*net\.data"):
        read_network(split)
    for words in (known, stated):
        with pytest.raises(MaterialError, match=r"net\.data cannot be read: No such file"):
            words(split)
