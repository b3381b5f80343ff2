import numpy as np
import pytest

from training.pictures.learn.grad_cam import grad_cam, overlay
from training.pictures.learn.network import keras_on_torch
from training.pictures.transfer import transfer
from training.pictures.transfer.transfer_settings import Network


def bright(*, order, ending):
    """A network with one map, the brightness; the first label's score grows with it."""
    keras = keras_on_torch()
    shape = (3, 32, 32) if order == "channels_first" else (32, 32, 3)
    # A small network's own flattening does not know where its channels are.
    pooling = getattr(keras.layers, ending)(
        **({} if ending == "Flatten" else {"data_format": order})
    )
    convolution = keras.layers.Conv2D(
        1, 4, strides=4, data_format=order, kernel_initializer="ones", use_bias=False
    )
    model = keras.Sequential([keras.Input(shape), convolution, pooling, keras.layers.Dense(2)])
    weights = model.layers[-1].get_weights()
    weights[0][:, 0], weights[0][:, 1], weights[1][:] = 1, -1, 0
    model.layers[-1].set_weights(weights)
    return model


@pytest.mark.parametrize("order", ["channels_first", "channels_last"])
@pytest.mark.parametrize("ending", ["GlobalAveragePooling2D", "Flatten"])
def test_the_heat_lies_where_the_answer_comes_from(order, ending):
    import torch

    image = np.zeros((2, 32, 32, 3), np.float32)
    image[0, :8, :8], image[1, 24:, 16:] = 200, 200
    x = torch.from_numpy(image.transpose(0, 3, 1, 2) if order == "channels_first" else image)
    model = bright(order=order, ending=ending)
    found = grad_cam(model, x)
    assert found.shape == (2, 8, 8)
    assert found[0, :2, :2].sum() == pytest.approx(found[0].sum())
    assert found[1, 6:, 4:].sum() == pytest.approx(found[1].sum())
    assert found.max(axis=(1, 2)).tolist() == [1, 1]
    np.testing.assert_array_equal(grad_cam(model, x), found)


def test_a_flattened_network_is_hot_where_the_score_comes_from_despite_negative_places():
    import torch

    model = bright(order="channels_last", ending="Flatten")
    weights = model.layers[-1].get_weights()
    weights[0][:] = -1
    weights[0][0, 0] = (
        9  # the first of 8 x 8 places speaks for the first label, all others speak against both
    )
    model.layers[-1].set_weights(weights)
    found = grad_cam(model, torch.full((1, 32, 32, 3), 200.0))
    assert found[0, 0, 0] == 1
    assert found.sum() == 1


def test_a_taught_network_with_metadata_has_heat_of_its_last_maps():
    import torch

    network = Network(backbone="mobilenet-v3-small", weights="none")
    learner = transfer.build(network, height=64, width=64, labels=3, extra=2, seed=1)
    takes = [torch.rand(2, 64, 64, 3) * 255, torch.ones(2, 2)]
    before = learner.model(takes, training=False).detach().numpy()
    found = grad_cam(learner.model, takes)
    assert found.shape == (2, 2, 2)
    assert found.min() >= 0
    np.testing.assert_allclose(
        learner.model(takes, training=False).detach().numpy(), before, atol=1e-5
    )


@pytest.mark.parametrize("ground", [0, 100, 255])
def test_heat_is_red_on_any_ground_and_spares_the_cold(ground):
    image = np.full((32, 64, 3), ground, np.uint8)
    found = np.zeros((4, 4), np.float32)
    found[0, 0] = 1
    drawn = overlay(image, found)
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    assert drawn[0, 0, 0].astype(int) - drawn[0, 0, 1:].max() > 120
    np.testing.assert_array_equal(drawn[16:], image[16:])
