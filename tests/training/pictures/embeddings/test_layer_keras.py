import numpy as np
import pytest

from models.session import Session
from training.common.errors import MaterialError
from training.pictures.embeddings import layer_keras
from training.pictures.embeddings.layer_onnx import layer_graph, layer_names
from training.pictures.learn.network import keras_on_torch

HOW = {"mean": (10.0, 20.0, 30.0), "scale": (50.0,), "size": (16, 16)}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), np.uint8)


def network(*, first=False, shape=(16, 16, 3)):
    """A convolution, a network inside the network, and a dense layer."""
    keras = keras_on_torch()
    keras.utils.set_random_seed(1)
    order = "channels_first" if first else "channels_last"
    layers = keras.layers
    inside = keras.Sequential(
        [
            keras.Input((None, None, 4) if not first else (4, None, None)),
            layers.Conv2D(5, 3, activation="relu", name="deep", data_format=order),
            layers.GlobalAveragePooling2D(data_format=order, name="pooled"),
        ]
    )
    takes = keras.Input((3, 16, 16) if first else shape)
    x = layers.Conv2D(4, 3, activation="relu", name="early", data_format=order)(takes)
    return keras.Model(takes, layers.Dense(3, name="top")(inside(x)))


def looked_at(images, *, first=False):
    x = (images - np.float32(HOW["mean"])) / np.float32(50)
    return x.transpose(0, 3, 1, 2) if first else x


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_any_layer_of_a_file_even_of_a_network_inside_is_what_keras_makes(
    suffix, first, images, tmp_path
):
    keras, model, path = keras_on_torch(), network(first=first), tmp_path / f"a{suffix}"
    model.save(path)
    early = keras.Model(model.input, model.get_layer("early").output)
    inner = model.layers[2]
    x = looked_at(images, first=first)
    expected = {
        "early": early.predict(x, verbose=0).reshape(4, -1),
        "pooled": inner.predict(early.predict(x, verbose=0), verbose=0),
        "": model.predict(x, verbose=0),
    }
    for layer, numbers in expected.items():
        got = Session(layer_graph(path, layer, **HOW)).predict(images)
        np.testing.assert_allclose(got, numbers, atol=1e-4)


def test_layers_are_told_in_order(tmp_path):
    network().save(tmp_path / "a.keras")
    names = layer_names(tmp_path / "a.keras")
    assert [name for name in names if name in {"early", "deep", "pooled", "top"}] == [
        "early",
        "deep",
        "pooled",
        "top",
    ]


def test_a_network_that_takes_any_size_takes_the_one_of_the_pictures(images):
    content, layer = layer_keras.truncate(network(shape=(None, None, 3)), "deep", **HOW)
    assert layer == "deep"
    assert Session(content).shape == (16, 16, 3)


def test_what_is_no_network_of_pictures_is_refused(tmp_path):
    keras = keras_on_torch()
    with pytest.raises(MaterialError, match=r"no layer 'middle'; layers: .*early"):
        layer_keras.truncate(network(), "middle", **HOW)
    numbers = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    with pytest.raises(MaterialError, match=r"the network takes \(None, 7\)"):
        layer_keras.truncate(numbers, **HOW)
    with pytest.raises(MaterialError, match=r"no network .*b\.keras"):
        layer_keras.load(tmp_path / "b.keras")
    (tmp_path / "c.keras").write_bytes(b"nothing of the kind")
    network().save_weights(tmp_path / "d.weights.h5")
    for name in ("c.keras", "d.weights.h5"):
        with pytest.raises(MaterialError, match="is not a Keras network"):
            layer_keras.load(tmp_path / name)
