import numpy as np
import pytest
import torch
from torch import nn

from tests.training.pictures.helpers.torchvision import ResNet, normalised, seeded
from tests.training.pictures.helpers.torchvision import vgg19 as vgg19_module
from training.common.errors import MaterialError
from training.pictures.learn.backbones import build, build_whole
from training.pictures.learn.network import keras_on_torch
from training.pictures.learn.torch_weights import classes
from training.pictures.learn.torchvision_bodies import RESNETS, layer_name, resnet, vgg19

# Trainable weights with a last layer of 1,000 classes, as torchvision's documentation counts them.
PARAMETERS = {
    "resnet50-torchvision": 25_557_032,
    "resnet101-torchvision": 44_549_160,
    "resnet152-torchvision": 60_192_808,
    "resnext50-32x4d": 25_028_904,
    "resnext101-32x8d": 88_791_336,
    "resnext101-64x4d": 83_455_272,
}


@pytest.mark.parametrize(
    "name",
    [
        # The others have more of the same layers.
        name if name == "resnet50-torchvision" else pytest.param(name, marks=pytest.mark.slow)
        for name in RESNETS
    ],
)
def test_each_network_has_as_many_weights_as_its_original(name):
    made = resnet(name, (32, 32, 3))
    trainable = sum(int(np.prod(weight.shape)) for weight in made.trainable_weights)
    assert trainable + 2_049_000 == PARAMETERS[name]
    assert made.output_shape == (None, 2048)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet50-torchvision", (64, 64)),
        pytest.param("resnet50-torchvision", (33, 50), marks=pytest.mark.slow),
        pytest.param("resnext50-32x4d", (64, 64), marks=pytest.mark.slow),
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


@pytest.mark.slow  # builds ResNet50 whole
def test_a_resnet_with_its_own_classifier_gives_torchvisions_logits(tmp_path):
    name = "resnet50-torchvision"
    module = seeded(ResNet, *RESNETS[name])
    path = tmp_path / "a.pth"
    torch.save(module.state_dict(), path)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    made = build_whole(name, path, height=64, width=64, classes=10)
    with torch.no_grad():
        expected = module.fc(module(normalised(images))).numpy()
        found = made(images.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    with pytest.raises(
        MaterialError, match=r"fc\.weight has the shape \(10, 2048\), not \(9, 2048\)"
    ):
        build_whole(name, path, height=64, width=64, classes=9)


@pytest.mark.slow
def test_vgg19_with_its_own_classifier_gives_torchvisions_logits(tmp_path):
    body = seeded(vgg19_module).features
    torch.manual_seed(1)
    classifier = nn.Sequential(
        nn.Linear(25_088, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 3),
    ).eval()
    parts = {"features": body, "classifier": classifier}
    path = tmp_path / "a.pth"
    torch.save(nn.ModuleDict(parts).state_dict(), path)
    images = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    made = build_whole("vgg19-torchvision", path, height=224, width=224, classes=3)
    with torch.no_grad():
        expected = classifier(body(normalised(images)).flatten(1)).numpy()
        found = made(images.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert classes(path) == 3


@pytest.mark.parametrize("side", [223, 256])
def test_the_classifier_of_vgg19_takes_seven_by_seven_places(side):
    with pytest.raises(ValueError, match="takes 224 x 224 pixels"):
        vgg19((side, side, 3), classes=2)


@pytest.mark.slow  # builds VGG19 twice
def test_vgg19_has_the_shapes_of_keras_and_takes_32_pixels_or_more():
    keras = keras_on_torch()
    known = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
    made = vgg19((32, 32, 3))
    assert [w.shape for w in made.weights] == [w.shape for w in known.weights]
    assert made.output_shape == (None, 512)
    with pytest.raises(ValueError, match="at least 32 pixels"):
        vgg19((32, 31, 3))


def test_names_of_layers_have_no_dots():
    assert layer_name("layer1.0.downsample.1") == "layer1_0_downsample_1"
