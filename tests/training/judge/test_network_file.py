import numpy as np
import pytest
import soundfile
import torch
from onnx import helper

from features.config import AudioConfig
from models.kinds import KINDS
from models.store import DEFAULT_PATH, Store
from tests.training.judge.conftest import KERNEL, graph
from tests.training.pictures.helpers.torchvision import ResNet, normalised, seeded
from training.common.errors import MaterialError
from training.judge.network_file import PIXELS, FileOptions, open_network
from training.pictures.learn.network import keras_on_torch
from training.pictures.learn.torchvision_bodies import RESNETS


def opened(path, classes=3, **options):
    return open_network(path, FileOptions(**options), classes=classes)


def scores(network, images):
    taken = images[..., ::-1] if network.blue_first else images
    return network.session.predict(np.ascontiguousarray(taken))


@pytest.mark.parametrize("pixels", PIXELS)
def test_a_file_is_given_the_pixels_that_it_was_trained_on(pixels, linear):
    model = opened(linear, pixels=pixels)
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    mean, scale = (np.float32(each) for each in PIXELS[pixels])
    taken = images[..., ::-1] if pixels == "blue-first" else images
    expected = ((taken - mean) / scale).mean(axis=(1, 2)) @ KERNEL
    np.testing.assert_allclose(scores(model, images), expected, rtol=1e-4, atol=1e-3)


def test_a_keras_file_is_judged_up_to_its_last_layer(tmp_path):
    keras = keras_on_torch()
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    made = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    made.save(tmp_path / "made.keras")
    model = opened(tmp_path / "made.keras", pixels="own")
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(
        scores(model, images), made.predict(images.astype(np.float32), verbose=0), atol=1e-5
    )


def dense(path, takes):
    """A network of the sum of each of its first three numbers, as they are."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["logits"]),
    ]
    return graph(path, nodes, takes, {"kernel": np.eye(int(np.prod(takes)), 3, dtype=np.float32)})


@pytest.mark.parametrize(
    ("takes", "kind", "settings"),
    [
        ([26], "features", {}),
        ([46], "features", {"n_mfcc": 40}),
        ([128, 87], "log_mel", {}),
        ([64, 44], "log_mel", {"n_mels": 64, "sample_rate": 22_050, "window": 22_050}),
    ],
)
def test_a_network_of_features_or_spectrograms_is_one_of_sound(takes, kind, settings, tmp_path):
    window = settings.get("window", 44_100) / 22_050
    found = opened(dense(tmp_path / "a.onnx", takes), window=window)
    assert found.kind is KINDS[kind]
    assert found.config == AudioConfig(**settings)
    values = np.random.default_rng(0).normal(size=(2, *takes)).astype(np.float32)
    np.testing.assert_array_equal(found.session.predict(values), values.reshape(2, -1)[:, :3])


@pytest.mark.parametrize(
    ("takes", "told"),
    [
        ([6], "takes 6 numbers: of sound only features"),
        ([135], "takes 135 numbers"),
        ([128, 86], "has 87 frames of 512 samples"),
    ],
)
def test_a_network_of_other_numbers_is_refused(takes, told, tmp_path):
    with pytest.raises(MaterialError, match=told):
        opened(dense(tmp_path / "a.onnx", takes))


def test_the_most_features_are_those_of_all_bands(tmp_path):
    assert opened(dense(tmp_path / "a.onnx", [134])).config.n_mfcc == 128
    assert opened(dense(tmp_path / "b.onnx", [7])).config.n_mfcc == 1


@pytest.mark.parametrize("takes", [(26,), (128, 87)])
def test_a_keras_network_of_sound_gives_keras_numbers(takes, tmp_path):
    keras = keras_on_torch()
    layers = [keras.Input(takes), keras.layers.Flatten(), keras.layers.Dense(3)]
    made = keras.Sequential(layers)
    made.save(tmp_path / "made.keras")
    found = opened(tmp_path / "made.keras")
    values = np.random.default_rng(0).normal(size=(5, *takes)).astype(np.float32)
    np.testing.assert_allclose(
        found.session.predict(values), made.predict(values, verbose=0), atol=1e-4
    )


def test_the_tensors_of_a_file_are_those_of_an_artefact(tmp_path):
    forest = Store(DEFAULT_PATH).load("instruments-forest")
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).normal(size=66_150), 22_050)
    found = opened(DEFAULT_PATH / "instruments-forest" / forest.version / "model.onnx")
    data = (tmp_path / "a.wav").read_bytes()
    first, second = (
        np.stack(list(one.kind.tensors(data, one.config, number=0)))
        for one in (found, opened(dense(tmp_path / "a.onnx", [26])))
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(found.session.predict(first), forest.predict(first))


@pytest.mark.slow  # builds VGG19 and ResNets whole
def test_weights_of_torchvision_are_judged_with_the_classifier_in_their_file(tmp_path):
    name = "resnet50-torchvision"
    module = seeded(ResNet, *RESNETS[name])
    torch.save(module.state_dict(), tmp_path / "a.pth")
    found = opened(tmp_path / "a.pth", 10, backbone=name, size=(64, 64), pixels="blue-first")
    assert (found.config.height, found.config.width) == (64, 64)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with torch.no_grad():
        expected = module.fc(module(normalised(images))).numpy()
    np.testing.assert_allclose(
        scores(found, images), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors"])
def test_weights_alone_need_the_name_of_their_architecture(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MaterialError, match="name their architecture"):
        opened(tmp_path / name)


def test_pictures_of_a_size_that_a_network_cannot_take_are_refused(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(MaterialError, match="takes 224 x 224 pixels"):
        opened(tmp_path / "a.pth", backbone="vgg19-torchvision", size=(64, 64))
