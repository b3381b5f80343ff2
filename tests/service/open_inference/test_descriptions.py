"""Metadata, configuration and index of the protocol."""

import shutil

import pytest

from models.store import Store
from service.inference.registry import ModelRegistry
from service.inference.version_scanner import VersionScanner
from service.open_inference.descriptions import (
    model_config,
    model_metadata,
    repository_index,
    usable_versions,
)


@pytest.fixture
def registry(artefacts, tmp_path):
    shutil.copytree(artefacts, tmp_path / "a")
    (tmp_path / "a/toy/2/golden.npz").write_bytes(b"broken")
    store = Store(tmp_path / "a")
    registry = ModelRegistry(store, VersionScanner(store))
    registry.load()
    return registry


def test_metadata_tells_tensors_by_the_names_of_the_graph(registry):
    assert model_metadata(registry.find("toy-net"), ["1"]) == {
        "name": "toy-net",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 128, 87]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}],
        "parameters": {"labels": ["tone", "noise"]},
    }


def test_the_configuration_tells_shapes_without_the_rows(registry):
    found = model_config(registry.find("toy"), max_rows=9, max_batch=4)
    assert (found["name"], found["max_batch_size"]) == ("toy", 9)
    assert found["dynamic_batching"]["preferred_batch_size"] == [4]
    assert [(each["data_type"], each["dims"]) for each in found["input"] + found["output"]] == [
        ("TYPE_FP32", [26]),
        ("TYPE_FP32", [2]),
    ]


def test_the_index_names_every_version_and_why_one_is_not_served(registry):
    index = repository_index(registry)
    assert [(each["name"], each["version"], each["state"]) for each in index] == [
        ("toy", "1", "READY"),
        ("toy", "2", "UNAVAILABLE"),
        ("toy-net", "1", "READY"),
    ]
    assert [bool(each["reason"]) for each in index] == [False, True, False]
    assert "golden.npz" in index[1]["reason"]
    assert [each["version"] for each in repository_index(registry, ready=True)] == ["1", "1"]
    assert usable_versions(registry, "toy") == ["1"]
