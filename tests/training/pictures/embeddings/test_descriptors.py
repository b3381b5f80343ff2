import re
import signal
import subprocess
import sys

import h5py
import numpy as np
import onnx
import pytest

from features.config import PictureConfig
from models.session import Session
from training.common.errors import MaterialError
from training.pictures.dataset.folders import listing
from training.pictures.dataset.pack import pack
from training.pictures.dataset.packed import open_pack
from training.pictures.embeddings import descriptors
from training.pictures.embeddings.layer_onnx import truncate


def nothing(done, total):
    pass


def averages(size=16):
    """A network whose descriptor is the mean of each colour."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("GlobalAveragePool", ["image"], ["mean"])]
    takes = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, size, size])
    gives = helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 3, 1, 1])
    graph = helper.make_graph(nodes, "toy", [takes], [gives])
    return truncate(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        scale=(1,),
    )


@pytest.fixture
def packed(folder, tmp_path):
    pack(
        listing(folder),
        tmp_path / "pack",
        PictureConfig(height=16, width=16),
        jobs=1,
        progress=nothing,
    )
    return open_pack(tmp_path / "pack")


def test_each_row_is_what_the_network_says_of_that_picture(packed, tmp_path):
    path = descriptors.extract(packed, averages(), tmp_path / "cache", progress=nothing)
    np.testing.assert_allclose(descriptors.read(path), packed.images.mean(axis=(1, 2)), rtol=1e-5)
    with h5py.File(path) as file:
        assert file["paths"].asstr()[:].tolist() == [picture.path for picture in packed.pictures]
        assert file["labels"][:].tolist() == packed.labels.tolist()
        assert file["classes"].asstr()[:].tolist() == packed.classes


def test_pictures_that_the_network_gives_no_numbers_for_are_named(packed, tmp_path):
    model = onnx.load_from_string(averages())
    nodes = model.graph.node
    # The logarithm of how much brighter than the second brightest picture each is.
    means = packed.images.mean(axis=(1, 2, 3))
    limit = np.float32([np.sort(means)[-2] + 1e-3])
    model.graph.initializer.append(onnx.numpy_helper.from_array(limit, "limit"))
    nodes[-1].output[0] = "found"
    for operator, takes, gives in (
        ("ReduceMean", ["found"], "mean_of_three"),
        ("Sub", ["limit", "mean_of_three"], "below"),
        ("Log", ["below"], "descriptor"),
    ):
        more = {"axes": [1]} if operator == "ReduceMean" else {}
        nodes.append(onnx.helper.make_node(operator, takes, [gives], **more))
    brightest = packed.pictures[int(means.argmax())].path
    with pytest.raises(
        MaterialError, match=f"infinite or not a number for {re.escape(brightest)};"
    ):
        descriptors.extract(packed, model.SerializeToString(), tmp_path, progress=nothing)
    assert not list(tmp_path.glob("*.h5"))


def test_descriptors_are_made_once_and_again_for_another_network(packed, tmp_path):
    first = descriptors.extract(packed, averages(), tmp_path, progress=nothing)
    before = first.stat().st_mtime_ns
    assert descriptors.extract(packed, averages(), tmp_path, progress=nothing) == first
    assert first.stat().st_mtime_ns == before
    assert descriptors.extract(packed, averages() + b"", tmp_path, progress=nothing) == first
    model = averages().replace(b"descriptor", b"descripto2")
    assert descriptors.extract(packed, model, tmp_path, progress=nothing) != first


KILLED = """
import os, sys
from pathlib import Path
from training.pictures.embeddings import descriptors
from training.pictures.dataset.packed import open_pack
descriptors.PART = 4
graph = Path(sys.argv[2]).read_bytes()
def progress(done, total):
    print(done, flush=True)
    if done == 12:
        os.kill(os.getpid(), 9)
descriptors.extract(open_pack(Path(sys.argv[1])), graph, Path(sys.argv[3]), progress=progress)
"""


def test_what_a_killed_run_computed_is_not_computed_again(packed, tmp_path, monkeypatch):
    (tmp_path / "graph").write_bytes(averages())
    words = [
        sys.executable,
        "-c",
        KILLED,
        tmp_path / "pack",
        tmp_path / "graph",
        tmp_path / "cache",
    ]
    killed = subprocess.run(words, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout.split() == ["4", "8", "12"]
    assert not list((tmp_path / "cache").glob("*.h5"))
    made = sorted((tmp_path / "cache").glob("*.parts/*.npy"))
    assert len(made) == 3
    for path in made:  # marked, so that it shows whether they are used
        np.save(path, np.full((4, 3), 7, np.float32))
    monkeypatch.setattr(descriptors, "PART", 4)
    path = descriptors.extract(packed, averages(), tmp_path / "cache", progress=nothing)
    values = descriptors.read(path)
    assert (values[:12] == 7).all()
    np.testing.assert_allclose(values[12:], packed.images[12:].mean(axis=(1, 2)), rtol=1e-5)
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == [path.name]


def test_pictures_of_another_size_than_the_networks_are_refused(packed, tmp_path):
    with pytest.raises(MaterialError, match="another size"):
        descriptors.extract(packed, averages(size=8), tmp_path / "cache", progress=nothing)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(MaterialError, match="holds no descriptors"):
        descriptors.read(tmp_path / "x.h5")


def test_descriptions_of_a_network_do_not_depend_on_the_batch(packed, monkeypatch):
    session = Session(averages())
    whole = descriptors.describe(session, packed.images)
    monkeypatch.setattr(descriptors, "BATCH", 5)
    np.testing.assert_array_equal(descriptors.describe(session, packed.images), whole)
