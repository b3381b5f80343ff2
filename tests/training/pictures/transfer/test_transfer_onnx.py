import dataclasses

import numpy as np
import pytest

from common.errors import ArtefactError
from features.config import Metadata, PictureConfig
from features.picture import tensor
from models.session import Session
from tests.training.pictures.helpers.backbone import tiny_backbones
from training.pictures.learn.backbones import BACKBONES
from training.pictures.learn.fit import TrainingData
from training.pictures.learn.network import softmax
from training.pictures.transfer import transfer_onnx
from training.pictures.transfer.transfer import build
from training.pictures.transfer.transfer_settings import Network


@pytest.fixture
def tiny():
    with tiny_backbones():
        yield


REGION = Metadata(name="region", values=("east", "west"))


def made(size, *, backbone="mobilenet-v3-small", metadata=(), width=0):
    config = PictureConfig(height=size, width=width or size, metadata=metadata)
    network = Network(backbone=backbone, weights="none")
    learner = build(network, height=size, width=config.width, labels=3, extra=config.extra, seed=1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, size, config.width, 3), np.uint8)
    facts = np.eye(2, dtype=np.uint8)[[0, 1, 0, 1, 0]][:, : config.extra]
    rows = np.arange(5)
    return (
        learner,
        config,
        TrainingData(images, np.zeros(5, np.int64), rows, rows, np.ones(3, np.float32), facts),
    )


@pytest.mark.parametrize("metadata", [(), (REGION,)])
def test_the_graph_takes_what_the_gateway_makes_of_a_picture(tiny, metadata):
    learner, config, material = made(32, metadata=metadata)
    graph = transfer_onnx.export(learner, config, 0.5, material, np.arange(5))
    told = (
        [{"region": name} for name in ("east", "west", "east", "west", "east")]
        if metadata
        else [{}] * 5
    )
    batch = np.stack(
        [tensor(image, config, one) for image, one in zip(material.images, told, strict=True)]
    )
    session = Session(graph)
    scores = session.predict(batch)
    np.testing.assert_allclose(
        scores, softmax(learner.logits(material, np.arange(5)) / np.float32(0.5)), atol=1e-5
    )
    np.testing.assert_allclose(session.predict(batch[:1]), scores[:1], atol=1e-6)


def test_metadata_changes_the_scores(tiny):
    learner, config, material = made(32, metadata=(REGION,))
    session = Session(transfer_onnx.export(learner, config, 0.1, material, np.arange(5)))
    east, west = (
        tensor(material.images[0], config, {"region": name})[None] for name in REGION.values
    )
    assert np.abs(session.predict(east) - session.predict(west)).max() > 0.01


@pytest.mark.parametrize(
    "backbone",
    [
        "mobilenet-v3-small",
        *(pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES if "small" not in name),
    ],
)
@pytest.mark.slow  # builds backbones whole
def test_every_backbone_becomes_a_graph_of_the_size_asked_for(backbone):
    """Layers that cannot be traced, as Xception's separable convolutions, are exported first."""
    learner, config, material = made(80, backbone=backbone, width=96)
    session = Session(transfer_onnx.export(learner, config, 0.5, material, np.arange(2)))
    assert session.shape == (80, 96, 3)
    expected = softmax(learner.logits(material, np.arange(5)) / np.float32(0.5))
    np.testing.assert_allclose(session.predict(material.images), expected, atol=1e-4)


def test_a_graph_that_says_something_else_is_refused(tiny, monkeypatch):
    learner, config, material = made(32)
    wrong = dataclasses.replace(learner, model=learner.model)
    monkeypatch.setattr(
        type(wrong),
        "logits",
        lambda self, material, rows: np.eye(3, dtype=np.float32)[rows % 3] * 9,
    )
    with pytest.raises(ArtefactError, match="differ"):
        transfer_onnx.export(wrong, config, 1.0, material, np.arange(5))
