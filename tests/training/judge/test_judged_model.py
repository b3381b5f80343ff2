from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.errors import NotFound
from training.common.errors import MaterialError
from training.judge.judged_model import PIXELS, FileOptions, open_model, probabilities
from training.pictures.learn.network import keras_on_torch

KERNEL = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)


def opened(named, *, artefacts=Path("none"), version=None, **options):
    return open_model(
        str(named), version=version, artefacts=artefacts, options=FileOptions(**options)
    )


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
    takes = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    kernel = numpy_helper.from_array(KERNEL, "kernel")
    graph = helper.make_graph(nodes, "linear", [takes], [gives], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "linear.onnx")
    return tmp_path / "linear.onnx"


def test_an_artefact_is_found_by_name_and_by_folder(seeing):
    named, folder = opened("colours", artefacts=seeing), opened(seeing / "colours" / "1")
    assert (named.name, named.version) == (folder.name, folder.version) == ("colours", "1")
    assert (named.labels, named.several, named.medium) == (
        ["red", "green", "blue"],
        False,
        "picture",
    )
    with pytest.raises(NotFound, match="no version '9'"):
        opened("colours", artefacts=seeing, version="9")
    with pytest.raises(NotFound, match="shapes"):
        opened("shapes", artefacts=seeing)


@pytest.mark.parametrize("pixels", PIXELS)
def test_a_file_is_given_the_pixels_that_it_was_trained_on(pixels, linear, classes):
    model = opened(linear, classes=classes, pixels=pixels)
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    mean, scale = (np.float32(each) for each in PIXELS[pixels])
    taken = images[..., ::-1] if pixels == "blue-first" else images
    expected = ((taken - mean) / scale).mean(axis=(1, 2)) @ KERNEL
    np.testing.assert_allclose(model.scores(images), expected, rtol=1e-4, atol=1e-3)


def test_a_keras_file_is_judged_up_to_its_last_layer(tmp_path, classes):
    keras = keras_on_torch()
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    made = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    made.save(tmp_path / "made.keras")
    model = opened(tmp_path / "made.keras", classes=classes, pixels="own")
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(
        model.scores(images), made.predict(images.astype(np.float32), verbose=0), atol=1e-5
    )


@pytest.mark.parametrize(
    ("lines", "told"),
    [(None, "with --classes"), ("red\nblue\n", "gives 3 scores, and .* names 2 classes")],
)
def test_a_file_without_the_right_classes_is_refused(lines, told, linear, tmp_path):
    path = tmp_path / "few.txt"
    path.write_text(lines or "", encoding="utf-8")
    with pytest.raises(MaterialError, match=told):
        opened(linear, classes=path if lines else None)


def test_a_file_that_is_not_there_is_refused(tmp_path, classes):
    with pytest.raises(MaterialError, match="no network"):
        opened(tmp_path / "none.onnx", classes=classes)


def test_logits_become_scores_and_scores_stay():
    logits = np.float32([[2, 0, -1], [0, 0, 0]])
    made = probabilities(logits)
    np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(made[0], np.exp(logits[0]) / np.exp(logits[0]).sum(), atol=1e-6)
    assert probabilities(made) is made
    assert probabilities(made * 1.2)[0].sum() == pytest.approx(1)
