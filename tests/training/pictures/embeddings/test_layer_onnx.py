import numpy as np
import onnx
import pytest

from models.export.quantize import quantize
from models.session import Session
from models.store import Store
from tests.models.colours import CONFIG, golden, write_colours
from tests.training.pictures.helpers.backbone import STANDS_FOR, tiny_backbones, tiny_body
from tests.training.pictures.helpers.torchvision import ResNet, normalised, seeded
from tests.training.pipelines.helpers.toy_network import network_by_chance
from training.common.errors import MaterialError
from training.pictures.embeddings.layer_onnx import layer_graph, layer_names, layers, load, truncate
from training.pictures.learn.torchvision_bodies import RESNETS


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


@pytest.mark.parametrize("name", ["pixels", "descriptor", "pixels_mean", "descriptor_flat"])
def test_a_network_may_have_any_name_for_its_input_and_its_layers(name, images):
    model = network()
    expected = Session(truncate(model)).predict(images)
    for old in ("image", "relu"):
        renamed = type(model).FromString(model.SerializeToString())
        (item,) = renamed.graph.input
        item.name = item.name.replace(old, name)
        for node in renamed.graph.node:
            for names in (node.input, node.output):
                names[:] = [name if each == old else each for each in names]
        np.testing.assert_array_equal(Session(truncate(renamed, "flat")).predict(images), expected)


@pytest.mark.parametrize("name", ["colours", "places"])
@pytest.mark.parametrize("how", ["", "fp16", "int8"])
@pytest.mark.slow  # a network of every kind and precision
def test_networks_of_artefacts_are_described_before_their_classifier(name, how, tmp_path):
    folder = write_colours(tmp_path / "artefacts") / name / "1"
    if how:
        folder, _ = quantize(
            Store(tmp_path / "artefacts"), name, None, how=how, calibration=None, out=tmp_path / "q"
        )
    size = (CONFIG.height, CONFIG.width)
    made = Session(layer_graph(folder, mean=(0,), scale=(255,), size=size))
    pictures = golden(CONFIG)
    np.testing.assert_allclose(
        made.predict(pictures), pictures.mean(axis=(1, 2)) / 255, atol=0.02 if how else 1e-5
    )


def test_a_layer_that_metadata_decide_is_refused(tmp_path):
    path = write_colours(tmp_path) / "places" / "1" / "model.onnx"
    size = (CONFIG.height, CONFIG.width)
    with pytest.raises(MaterialError, match=r"layer 'sum' depends on the metadata"):
        truncate(load(path), "sum", size=size)
    with pytest.raises(MaterialError, match=r"another size.*32 x 25 pixels are 2,400"):
        truncate(load(path), size=(25, 32))
    with pytest.raises(MaterialError, match="another size"):
        truncate(load(path))
    # One row fewer could be more metadata; but then they would decide every layer.
    with pytest.raises(MaterialError, match="depends on the metadata"):
        truncate(load(path), size=(23, 32))


def test_a_truncated_network_can_be_truncated_again(images):
    import onnx

    once = onnx.load_from_string(truncate(network(), mean=(5,)))
    np.testing.assert_array_equal(
        Session(truncate(once)).predict(images),
        Session(once.SerializeToString()).predict(images),
    )


def test_a_branch_keeps_what_it_takes_from_the_network_around_it(images):
    """A graph inside an If names tensors and constants of the graph outside."""
    from onnx import TensorProto, helper, numpy_helper

    model = network()
    taken = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)
    branches = {
        f"{way}_branch": helper.make_graph(
            [helper.make_node("Mul", ["flat", factor], ["chosen"])], way, [], [taken]
        )
        for way, factor in {"then": "two", "else": "three"}.items()
    }
    model.graph.node.append(helper.make_node("If", ["yes"], ["last"], **branches))
    for name, value in {
        "yes": np.array(True),
        "two": np.float32(2),
        "three": np.float32(3),
    }.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    flat, last = (Session(truncate(model, layer)).predict(images) for layer in ("flat", "last"))
    np.testing.assert_allclose(last, 2 * flat, rtol=1e-6)


def test_sound_is_refused_with_what_the_network_takes():
    from onnx import TensorProto, helper

    takes = helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["n", 128, 87])
    gives = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 128, 87])
    nodes = [helper.make_node("Relu", ["log_mel"], ["scores"])]
    model = helper.make_model(helper.make_graph(nodes, "sound", [takes], [gives]))
    with pytest.raises(MaterialError, match=r"must take pictures.*log_mel \[0, 128, 87\]"):
        truncate(model)


def test_weights_alone_are_a_network_with_the_name_of_their_architecture(tmp_path, images):
    from training.pictures.learn import backbones

    body = tiny_body(8, 8)
    body.save_weights(tmp_path / "known.weights.h5")
    size = {"mean": (0,), "scale": (255,), "size": (8, 8)}
    with pytest.raises(MaterialError, match="of weights alone, name the backbone too"):
        layer_graph(tmp_path / "known.weights.h5", **size)
    with tiny_backbones():
        made = layer_graph(tmp_path / "known.weights.h5", backbone=STANDS_FOR, **size)
        names = layer_names(tmp_path / "known.weights.h5", backbone=STANDS_FOR)
        assert "tiny" in names
        whole = backbones.build(
            STANDS_FOR, height=8, width=8, weights=str(tmp_path / "known.weights.h5"), seed=3
        )
    expected = whole(images.astype(np.float32)).detach().numpy()
    np.testing.assert_allclose(Session(made).predict(images), expected, atol=1e-5)


@pytest.mark.slow  # builds VGG19 whole
def test_layers_of_the_classifier_in_a_file_of_torchvision_can_be_named(tmp_path):
    import torch

    name = "resnet50-torchvision"
    module = seeded(ResNet, *RESNETS[name])
    torch.save(module.state_dict(), tmp_path / "a.pth")
    how = {"backbone": name, "mean": (0,), "scale": (1,), "size": (64, 64)}
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with torch.no_grad():
        pooled = module(normalised(images))
        expected = [module.fc(pooled).numpy(), pooled.numpy()]
    assert layer_names(tmp_path / "a.pth", backbone=name)[-1] == "fc"
    for layer, values in zip(("fc", ""), expected, strict=True):
        found = Session(layer_graph(tmp_path / "a.pth", layer, **how)).predict(images)
        np.testing.assert_allclose(found, values, rtol=1e-3, atol=1e-3 * np.abs(values).max())


def test_a_file_with_another_classifier_has_the_layers_of_the_backbone_alone(tmp_path):
    import torch

    name = "resnet50-torchvision"
    state = seeded(ResNet, *RESNETS[name]).state_dict()
    state["fc.1.weight"] = state.pop("fc.weight")
    torch.save(state, tmp_path / "a.pth")
    assert "fc" not in layer_names(tmp_path / "a.pth", backbone=name)
    with pytest.raises(MaterialError, match="no layer 'fc'"):
        layer_graph(tmp_path / "a.pth", "fc", backbone=name, mean=(0,), scale=(1,), size=(64, 64))


def test_the_graph_holds_weights_from_files_beside_the_network(tmp_path):
    path = network_by_chance(tmp_path / "net.onnx")
    normal = {"mean": (0,), "scale": (255,), "size": (16, 16)}
    beside = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    onnx.save(onnx.load(path), path, **beside)
    first = layer_graph(path, **normal)
    assert layer_graph(path, **normal) == first
    data = bytearray((tmp_path / "net.data").read_bytes())
    data[2] ^= 1
    (tmp_path / "net.data").write_bytes(data)
    assert layer_graph(path, **normal) != first
