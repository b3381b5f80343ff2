from functools import cache

import numpy as np
import pytest
import torch

from training.common.errors import MaterialError
from training.common.recipe import RecipeError
from training.pictures.learn import backbones
from training.pictures.learn.backbones import BACKBONES, GROUPS, build, build_whole, groups


def small(weights="none", seed=1, size=32, name="mobilenet-v3-small"):
    return build(name, height=size, width=size, weights=weights, seed=seed)


@cache
def built(name):
    """A backbone that no test changes."""
    return small(name=name)


@pytest.fixture(scope="module")
def body():
    """A backbone as Keras makes it, whose weights are files."""
    return backbones._body("mobilenet-v3-small", height=32, width=32)


@pytest.mark.slow  # builds two ResNeXts whole
def test_resnext_has_the_weights_of_its_paper():
    """25.0 million with the last layer's 2,049,000 (S. Xie et al., 2017)."""
    made = built("resnext50-32x4d")
    trainable = sum(int(np.prod(weight.shape)) for weight in made.trainable_weights)
    assert trainable + 2_049_000 == 25_028_904
    assert made.output_shape == (None, 2048)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnext50-32x4d", "vgg19")),
        "mobilenet-v3-small",
    ],
)
def test_groups_hold_every_weight_once_from_the_pixels_on(name):
    made = built(name)
    parts = groups(made)
    assert tuple(parts) == GROUPS
    held = [id(weight) for layers in parts.values() for layer in layers for weight in layer.weights]
    assert sorted(held) == sorted(id(weight) for weight in made.weights)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnext50-32x4d", "vgg19")),
        "mobilenet-v3-small",
    ],
)
def test_flattened_every_number_of_the_maps_is_kept_and_the_average_is_of_them(name):
    sizes = {"height": 64, "width": 96}
    pooled = build(name, weights="none", seed=1, **sizes)
    flat = build(name, weights="none", seed=1, pooling="flatten", **sizes)
    maps = pooled.output_shape[1]
    assert flat.output_shape == (None, 2 * 3 * maps)
    picture = torch.rand((2, 64, 96, 3), generator=torch.Generator().manual_seed(0)) * 255
    means = flat(picture, training=False).reshape(2, 6, maps).mean(axis=1)
    assert torch.allclose(means, pooled(picture, training=False), atol=1e-4)
    assert list(groups(flat)) == list(GROUPS)


def test_flattened_and_pooled_networks_share_files_of_weights(tmp_path):
    flat = build(
        "mobilenet-v3-small", height=64, width=64, weights="none", seed=1, pooling="flatten"
    )
    backbones.save(flat, tmp_path / "known.weights.h5")
    made = small(weights=str(tmp_path / "known.weights.h5"), seed=2)
    for one, other in zip(flat.get_weights(), made.get_weights(), strict=True):
        assert (one == other).all()


def test_pixels_become_what_each_network_was_trained_on():
    keras = backbones.keras_on_torch()
    picture = torch.full((1, 2, 2, 3), 0.0) + torch.tensor([255.0, 0.0, 127.5])
    takes = keras.Input((2, 2, 3))

    def prepared(wanted):
        return keras.Model(takes, backbones._normalised(keras, takes, wanted))(picture)[
            0, 0, 0
        ].tolist()

    assert prepared("unit") == pytest.approx([1, -1, 0])
    assert prepared("blue-first") == pytest.approx([127.5 - 103.939, -116.779, 255 - 123.68])
    assert prepared("standard") == pytest.approx(
        [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.5 - 0.406) / 0.225], abs=1e-5
    )


def test_the_seed_decides_weights_by_chance():
    first, again, other = (small(seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("kind", ["weights.h5", "keras"])
def test_weights_come_from_a_file(kind, body, tmp_path):
    path = tmp_path / f"body.{kind}"
    body.save_weights(path) if kind == "weights.h5" else body.save(path)
    made = small(weights=str(path), seed=5)
    assert all(
        np.array_equal(a, b) for a, b in zip(made.get_weights(), body.get_weights(), strict=True)
    )


def test_weights_that_were_saved_are_weights_to_begin_with(tmp_path):
    made, path = small(seed=3), tmp_path / "new" / "known.weights.h5"
    backbones.save(made, path)
    again = small(weights=str(path), seed=4)
    assert all(
        np.array_equal(a, b) for a, b in zip(made.get_weights(), again.get_weights(), strict=True)
    )
    assert [file.name for file in path.parent.iterdir()] == ["known.weights.h5"]


@pytest.mark.slow  # builds two backbones whole
def test_weights_of_another_architecture_are_refused(body, tmp_path):
    for kind in ("weights.h5", "keras"):
        path = tmp_path / f"body.{kind}"
        body.save_weights(path) if kind == "weights.h5" else body.save(path)
        with pytest.raises(MaterialError, match="does not hold weights of vgg19"):
            small(weights=str(path), name="vgg19")


@pytest.mark.parametrize(
    ("given", "asked"), [("vgg19", "vgg19-torchvision"), ("vgg19-torchvision", "vgg19")]
)
@pytest.mark.parametrize("kind", ["weights.h5", "keras"])
@pytest.mark.slow  # builds VGG19 whole
def test_weights_of_the_vgg19_that_takes_other_pixels_are_refused(kind, given, asked, tmp_path):
    known, path = backbones._body(given, height=32, width=32), tmp_path / f"known.{kind}"
    known.save_weights(path) if kind == "weights.h5" else known.save(path)
    again = small(weights=str(path), name=given).get_weights()
    assert all(map(np.array_equal, again, known.get_weights()))
    with pytest.raises(MaterialError, match=f"weights of {asked} .*takes other pixels"):
        small(weights=str(path), name=asked)


@pytest.mark.parametrize("kind", ["weights.h5", "keras", "h5"])
@pytest.mark.slow  # builds a ResNeXt for each kind of file
def test_weights_of_a_resnet_with_other_layers_of_the_same_shapes_are_refused(kind, tmp_path):
    """A network that pads one side only has the same shapes, and other names."""
    keras, name = backbones.keras_on_torch(), "resnext50-32x4d"

    def renamed(layer):
        return layer.from_config({**layer.get_config(), "name": f"other_{layer.name}"})

    own = backbones._body(name, height=32, width=32)
    for model, known in ((own, True), (keras.models.clone_model(own, None, renamed), False)):
        path = tmp_path / f"{known}.{kind}"
        model.save_weights(path) if kind == "weights.h5" else model.save(path)
        if known:
            first = small(weights=str(path), name=name).get_weights()
            assert all(map(np.array_equal, first, own.get_weights()))
        else:
            with pytest.raises(MaterialError, match=r"resnext50-32x4d .*but not .*bn1.*pads"):
                small(weights=str(path), name=name)


def test_damaged_and_absent_weights_are_refused(body, tmp_path):
    (tmp_path / "a.weights.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(MaterialError, match="does not hold weights"):
        small(weights=str(tmp_path / "a.weights.h5"))
    with pytest.raises(MaterialError, match="no weights"):
        small(weights=str(tmp_path / "b.weights.h5"))


@pytest.mark.slow  # builds a backbone whole
def test_a_network_with_its_classifier_is_built_from_weights_alone(tmp_path):
    keras, name = backbones.keras_on_torch(), "mobilenet-v3-small"
    whole = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3), classes=4)
    path = tmp_path / "whole.weights.h5"
    whole.save_weights(path)
    made = build_whole(name, path, height=32, width=32, classes=4)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(
        made.predict(images, verbose=0), whole.predict(images, verbose=0), atol=1e-5
    )
    with pytest.raises(MaterialError, match=f"weights of {name} with 5 classes"):
        build_whole(name, path, height=32, width=32, classes=5)
    with pytest.raises(RecipeError, match="xception on 32 x 32 pixels"):
        build_whole("xception", path, height=32, width=32, classes=4)


def test_weights_that_cannot_be_fetched_say_what_to_do(monkeypatch, tmp_path):
    keras = backbones.keras_on_torch()

    def unreachable(**_):
        raise OSError("URL fetch failure")

    real = keras.applications.MobileNetV3Small
    monkeypatch.setattr(
        keras.applications,
        "MobileNetV3Small",
        lambda **how: unreachable() if how["weights"] else real(**how),
    )
    with pytest.raises(MaterialError, match=r"could not download the weights.*weights=FILE"):
        small(weights="keras")


def test_what_there_is_not_is_refused():
    with pytest.raises(RecipeError, match="must be one of resnet50"):
        small(name="alexnet")
    with pytest.raises(RecipeError, match="Keras has no weights of resnext50-32x4d"):
        small(name="resnext50-32x4d", weights="keras")
    with pytest.raises(RecipeError, match="xception on 32 x 32 pixels"):
        small(name="xception")
    assert len(BACKBONES) == 19
