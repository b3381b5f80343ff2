"""A small network that learns the embeddings of another one."""

import numpy as np
import onnx
import pytest

from features.config import DEFAULT, AudioConfig
from models.session import Session
from training.common.labels import RATE
from training.common.recipe import load
from training.sound_models import student
from training.sound_models.embedding import open_backbone

SHAPE = DEFAULT.shape("log_mel")
QUICK = ["profile=quick", "teacher=any", "network.batch=20"]


def settings(*changes):
    return load("timbre-sound", [*QUICK, *changes]).network


@pytest.fixture(scope="module")
def material():
    """Spectrograms with a level in two places, and embeddings that are these levels."""
    rng = np.random.default_rng(0)
    levels = rng.uniform(0, 1, (200, 2)).astype(np.float32)
    spectrograms = rng.normal(-60, 1, (200, *SHAPE)).astype(np.float32)
    spectrograms[:, 10:40] += 40 * levels[:, 0, None, None]
    spectrograms[:, 80:110] += 40 * levels[:, 1, None, None]
    # A number that never changes has nothing to learn.
    constant = np.full((200, 1), 3.0, np.float32)
    return spectrograms.astype(np.float16), np.concatenate([5 * levels, constant], axis=1)


@pytest.fixture(scope="module")
def fitted(material):
    told = []
    found = student.fit(
        *material, settings("network.epochs=25"), seed=1, progress=lambda *one: told.append(one)
    )
    assert told[-1] == (25 * 9, 25 * 9)
    return found


def test_it_explains_what_the_teacher_gives_windows_that_it_was_not_trained_on(fitted):
    assert len(fitted.history) == 25
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]
    assert fitted.history[-1]["explained"] > 0.5


def test_the_last_twentieth_is_not_learnt_from(material):
    spectrograms, embeddings = material
    changed = embeddings.copy()
    changed[190:] += 100
    one, other = (
        student.fit(spectrograms, each, settings(), seed=1) for each in (embeddings, changed)
    )
    np.testing.assert_array_equal(one(spectrograms[:8]), other(spectrograms[:8]))
    assert one.history[-1]["explained"] > other.history[-1]["explained"]


def test_the_graph_gives_what_the_network_does(fitted, material):
    content = fitted.onnx()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    assert [one.name for one in model.graph.input] == ["log_mel"]
    assert [one.name for one in model.graph.output] == ["embedding"]
    some = material[0][:5].astype(np.float32)
    assert [one.dim_param for one in model.graph.input[0].type.tensor_type.shape.dim][2] == "frames"
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = SHAPE[1]
    found = Session(model.SerializeToString(), accelerate=False).predict(some)
    assert found.shape == (5, fitted.numbers) == (5, 3)
    np.testing.assert_allclose(found, fitted(some), atol=1e-4)


@pytest.mark.parametrize("seconds", [0.5, 3])
def test_windows_of_other_lengths_are_taken(fitted, tmp_path, seconds):
    (tmp_path / "net.onnx").write_bytes(fitted.onnx())
    config = AudioConfig(window=round(seconds * RATE))
    backbone = open_backbone(tmp_path / "net.onnx", window=config.window)
    noise = np.random.default_rng(0).normal(0, 0.1, config.window).astype(np.float32)
    assert backbone.of_samples([noise], config).shape == (1, 3)


def test_the_level_of_a_window_does_not_matter(fitted, material):
    some = material[0][:5].astype(np.float32)
    np.testing.assert_allclose(fitted(some), fitted(some - 30), atol=1e-4)


def test_the_same_seed_gives_the_same_network(material):
    one, other = (student.fit(*material, settings(), seed=3).onnx() for _ in range(2))
    assert one == other
