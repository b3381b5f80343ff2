"""Embeddings by the network of a teacher: its input, what it refuses, what it keeps."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import ROOT
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.window_set import WindowSet
from training.sound_models import teacher_network

BACKBONES = ROOT.parent / "shared" / "data" / "backbones"


def graph(*, takes="mel", gives="embedding", op="Identity"):
    """A network that gives the mean of each band, or what `op` makes of it."""
    nodes = [helper.make_node("ReduceMean", [takes], ["mean"], axes=[1, 3], keepdims=0)]
    nodes.append(helper.make_node(op, ["mean"], [gives]))
    inputs = [helper.make_tensor_value_info(takes, TensorProto.FLOAT, ["n", 1, 128, "t"])]
    outputs = [helper.make_tensor_value_info(gives, TensorProto.FLOAT, ["n", 128])]
    return helper.make_model(
        helper.make_graph(nodes, "means", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


@pytest.fixture
def means(tmp_path):
    onnx.save(graph(), tmp_path / "means.onnx")
    return tmp_path / "means.onnx"


def tones(*pitches):
    time = np.arange(2 * RATE) / RATE
    return np.array([0.2 * np.sin(2 * np.pi * p * time) for p in pitches], np.float32)


def windows(samples, folder):
    samples = samples.astype(np.float16)
    count = len(samples)
    labels = np.zeros((count, 11), bool)
    return WindowSet(samples, labels, np.full(count, "a"), np.full(count, "note"), folder, "f")


def test_a_window_of_2_s_has_201_frames_of_128_bands():
    assert teacher_network.log_mel(tones(440, 880)).shape == (2, 1, 128, 201)


def test_the_loudest_band_is_that_of_the_tone_and_the_level_does_not_matter():
    mel = teacher_network.log_mel(tones(500, 4000))[:, 0, :, 100]
    low, high = mel.argmax(axis=1)
    centres = 700 * np.expm1(np.linspace(0, np.log1p(15_000 / 700), 130)[1:-1])
    assert abs(centres[low] - 500) < 50
    assert abs(centres[high] - 4000) < 150
    np.testing.assert_allclose(
        teacher_network.log_mel(tones(500) / 50), teacher_network.log_mel(tones(500)), atol=1e-3
    )


def test_silence_is_the_floor_and_finite():
    mel = teacher_network.log_mel(np.zeros((1, 2 * RATE), np.float32))
    np.testing.assert_allclose(mel, (np.log(1e-5) + 4.5) / 5, atol=1e-5)


def test_it_is_the_front_end_that_the_network_was_trained_with():
    whole, part = (BACKBONES / f"efficientat_mn04_as{end}.onnx" for end in ("", "_mel"))
    if not part.is_file():
        pytest.skip(f"{part} is not there")
    rng = np.random.default_rng(0)
    samples = np.concatenate([tones(220), rng.normal(0, 0.1, (1, 2 * RATE)).astype(np.float32)])
    network = onnx.utils.Extractor(onnx.load(whole)).extract_model(["samples"], ["embedding"])
    expected = teacher_network.Session(network.SerializeToString(), accelerate=False).predict(
        samples
    )
    np.testing.assert_allclose(
        teacher_network.embed(teacher_network.open_teacher(part), samples), expected, atol=1e-4
    )


def test_embeddings_are_computed_once_for_a_network_and_its_windows(means, tmp_path):
    some = windows(tones(220, 440, 880), tmp_path)
    told = []
    first = teacher_network.embeddings(means, some, progress=lambda *counts: told.append(counts))
    again = teacher_network.embeddings(means, some, progress=lambda *counts: told.append(counts))
    assert told == [(3, 3)]
    assert first.shape == (3, 128)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(
        first, teacher_network.log_mel(some.read(slice(None))).mean(axis=(1, 3)), atol=1e-5
    )


def test_other_weights_beside_the_file_are_another_network(tmp_path):
    some, found = windows(tones(220, 440), tmp_path), []
    for factor in (1, 2):
        model = graph(op="Identity")
        model.graph.node[0].input[0] = "scaled"
        model.graph.node.insert(0, helper.make_node("Mul", ["mel", "factor"], ["scaled"]))
        held = numpy_helper.from_array(np.float32([factor]), "factor")
        model.graph.initializer.append(held)
        beside = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
        onnx.save(model, tmp_path / "net.onnx", **beside)
        found.append(np.array(teacher_network.embeddings(tmp_path / "net.onnx", some)))
    np.testing.assert_allclose(found[1], 2 * found[0], rtol=1e-5)


@pytest.mark.parametrize(
    "model", [graph(takes="samples"), graph(gives="tags")], ids=["input", "output"]
)
def test_a_network_with_other_ends_is_refused_by_their_names(tmp_path, model):
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(MaterialError, match=r"takes .* and gives .*; a teacher takes mel"):
        teacher_network.open_teacher(tmp_path / "other.onnx")


def test_a_file_that_is_no_network_or_not_there_is_named(tmp_path):
    (tmp_path / "text.onnx").write_text("not a network")
    for name in ("text.onnx", "absent.onnx"):
        with pytest.raises(MaterialError, match=rf"{name} cannot be read as an ONNX network"):
            teacher_network.open_teacher(tmp_path / name)


def test_what_is_no_number_is_refused(tmp_path):
    onnx.save(graph(op="Log"), tmp_path / "log.onnx")
    session = teacher_network.open_teacher(tmp_path / "log.onnx")
    with pytest.raises(MaterialError, match="not a number"):
        teacher_network.embed(session, np.zeros((1, 2 * RATE), np.float32))
