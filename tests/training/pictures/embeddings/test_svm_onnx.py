import numpy as np
import pytest

from common.errors import ArtefactError
from models.session import Session
from training.pictures.embeddings import svm_onnx
from training.pictures.embeddings.layer_onnx import truncate
from training.pictures.embeddings.svm import KERNELS, SvmParameters, fit


def quarters():
    """A network whose descriptor is the mean of each colour in each quarter of 8 x 8 pixels."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("AveragePool", ["image"], ["mean"], kernel_shape=[4, 4], strides=[4, 4])
    ]
    takes = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])
    gives = helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 3, 2, 2])
    graph = helper.make_graph(nodes, "toy", [takes], [gives])
    return truncate(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    )


@pytest.fixture(scope="module")
def seen():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    return images, Session(quarters()).predict(images), np.arange(40) % 4


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_graph_gives_the_scores_of_network_and_machine(kernel, seen):
    images, x, labels = seen
    machine = fit(SvmParameters(kernel, 3.0, 1.0), x, labels, sharpness=2.5)
    scores = Session(svm_onnx.export(quarters(), machine)).predict(images)
    assert scores.shape == (40, 4)
    np.testing.assert_allclose(scores, machine.scores(x), atol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert scores.std(axis=0).min() > 0.01


def test_a_graph_that_says_something_else_is_refused(seen, monkeypatch):
    _, x, labels = seen
    machine = fit(SvmParameters("rbf", 3.0, 1.0), x, labels)
    monkeypatch.setattr(type(machine), "scores", lambda self, x: np.zeros((len(x), 4), np.float32))
    with pytest.raises(ArtefactError, match="differ"):
        svm_onnx.export(quarters(), machine)
