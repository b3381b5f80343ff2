import numpy as np
import pytest

from models.session import Session
from training.common.errors import MaterialError
from training.pictures.learn.layer_onnx import layers, load, truncate


def network(*, first=True, pixels="FLOAT", batch="n", fixed_reshape=False, size=(8, 8)):
    """A convolution and a pooling, then a quantisation and a reshape as export tools add them."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    shape = [batch, 3, *size] if first else [batch, *size, 3]
    nodes = []
    x = "image"
    if pixels == "UINT8":
        nodes.append(helper.make_node("Cast", [x], ["float"], to=TensorProto.FLOAT))
        x = "float"
    if not first:
        nodes.append(helper.make_node("Transpose", [x], ["turned"], perm=[0, 3, 1, 2]))
        x = "turned"
    nodes += [
        helper.make_node("Conv", [x, "weight"], ["maps"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["maps"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
    ]
    constants = [
        numpy_helper.from_array(rng.normal(size=(5, 3, 3, 3)).astype(np.float32), "weight"),
        numpy_helper.from_array(np.array([1 if fixed_reshape else -1, 5], np.int64), "shape"),
    ]
    if fixed_reshape:
        nodes.append(helper.make_node("Mul", ["flat", "two"], ["out"]))
        constants.append(numpy_helper.from_array(np.float32([2]), "two"))
    takes = helper.make_tensor_value_info("image", getattr(TensorProto, pixels), shape)
    gives = helper.make_tensor_value_info(
        "out" if fixed_reshape else "flat", TensorProto.FLOAT, [batch, 5]
    )
    graph = helper.make_graph(nodes, "toy", [takes], [gives], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("first", [True, False])
def test_a_float_network_takes_pixels_normalised_as_told_wherever_its_channels_are(first, images):
    model = network(first=first)
    got = Session(truncate(model, mean=(10, 20, 30), scale=(50,))).predict(images)
    x = (images - np.float32([10, 20, 30])) / np.float32(50)
    weight = np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    expected = np.maximum(np.einsum("nhwcij,ocij->nhwo", windows, weight), 0).mean(axis=(1, 2))
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_network_that_takes_uint8_is_given_the_pixels_as_they_are(images):
    by_itself = Session(truncate(network(first=False, pixels="UINT8"))).predict(images)
    told = Session(truncate(network(first=False), mean=(0,), scale=(1,))).predict(images)
    np.testing.assert_allclose(by_itself, told, atol=1e-3)


def test_any_layer_can_be_asked_for(images):
    model = network()
    assert layers(model) == ["maps", "relu", "pooled", "flat"]
    maps = Session(truncate(model, "maps")).predict(images)
    assert maps.shape == (4, 5 * 6 * 6)
    pooled = np.maximum(maps.reshape(4, 5, 36), 0).mean(axis=2)
    np.testing.assert_allclose(
        Session(truncate(model, "pooled")).predict(images), pooled, atol=1e-5
    )


def test_a_network_for_one_picture_at_a_time_takes_many_when_only_its_form_is_in_the_way(images):
    assert Session(truncate(network(batch=1), mean=(0,))).predict(images).shape == (4, 5)


def test_a_network_that_takes_one_picture_at_a_time_is_refused_with_its_layer():
    with pytest.raises(MaterialError, match=r"'out'.*one picture at a time"):
        truncate(network(batch=1, fixed_reshape=True))


def test_an_unknown_layer_is_refused_with_those_there_are():
    with pytest.raises(MaterialError, match=r"no layer 'nothing'; layers: maps, relu"):
        truncate(network(), "nothing")


def test_a_network_for_pictures_of_any_size_is_refused():
    with pytest.raises(MaterialError, match="fixed height and width"):
        truncate(network(size=("h", "w")))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    with pytest.raises(MaterialError, match="no network"):
        load(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(MaterialError, match="not an ONNX network"):
        load(tmp_path / "text.onnx")


def test_the_frozen_descriptor_gives_1024_numbers_a_picture_for_any_batch(shared_data):
    graph = truncate(load(shared_data / "backbones/mobilenet_v1_1.0_224_embedding.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    assert Session(graph).predict(images).shape == (2, 1024)
