import numpy as np
import pytest
import torch

from tests.training.pictures.helpers.torchvision import ResNet, normalised, seeded
from training.pictures.learn.backbones import build
from training.pictures.learn.torchvision_bodies import RESNETS, layer_name, resnet

# Trainable weights with a last layer of 1,000 classes, as torchvision's documentation counts them.
PARAMETERS = {
    "resnet50-torchvision": 25_557_032,
    "resnet101-torchvision": 44_549_160,
    "resnet152-torchvision": 60_192_808,
    "resnext50-32x4d": 25_028_904,
    "resnext101-32x8d": 88_791_336,
    "resnext101-64x4d": 83_455_272,
}


@pytest.mark.parametrize("name", RESNETS)
def test_each_network_has_as_many_weights_as_its_original(name):
    made = resnet(name, (32, 32, 3))
    trainable = sum(int(np.prod(weight.shape)) for weight in made.trainable_weights)
    assert trainable + 2_049_000 == PARAMETERS[name]
    assert made.output_shape == (None, 2048)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet50-torchvision", (64, 64)),
        ("resnet50-torchvision", (33, 50)),
        ("resnext50-32x4d", (64, 64)),
        pytest.param("resnet152-torchvision", (64, 64), marks=pytest.mark.slow),
        pytest.param("resnext101-32x8d", (64, 64), marks=pytest.mark.slow),
        pytest.param("resnext101-64x4d", (64, 64), marks=pytest.mark.slow),
    ],
)
def test_weights_of_torchvision_give_the_numbers_of_torchvision(name, size, tmp_path):
    module = seeded(ResNet, *RESNETS[name])
    torch.save(module.state_dict(), tmp_path / "a.pth")
    height, width = size
    made = build(name, height=height, width=width, weights=str(tmp_path / "a.pth"), seed=0)
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    with torch.no_grad():
        expected = module(normalised(images)).numpy()
        found = made(images.astype(np.float32), training=False).numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_names_of_layers_have_no_dots():
    assert layer_name("layer1.0.downsample.1") == "layer1_0_downsample_1"
