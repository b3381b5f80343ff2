"""A small model on the embeddings of a network given by path."""

import numpy as np
import onnx
import pytest

from features.config import DEFAULT, AudioConfig
from features.extract import extract_many
from models.promote import quiet_windows
from models.session import Session
from tests.training.sound_models.helpers.filterbank import BANDS, by_level, filterbank
from tests.training.sound_models.helpers.spectrogram_means import spectrogram_means
from training.common.errors import MaterialError
from training.sound_models import embedding
from training.sound_models.embedding import (
    NOISES,
    Backbone,
    check_backbone,
    fit,
    kind_of,
    open_backbone,
)
from training.sound_models.embedding_heads import ALONE, Choice
from training.sound_models.given_network import known

CONFIG = AudioConfig(window=11_025)
HERTZ = {"low": 200, "high": 3_000}


def window_of(hertz, rng):
    time = np.arange(CONFIG.window) / 22_050
    level = rng.uniform(0.05, 0.5)
    noise = rng.normal(0, 0.01, CONFIG.window)
    return level * np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * time) + noise


@pytest.fixture(scope="module")
def windows():
    """Samples, labels (low, high) and sources of 36 windows of three players."""
    rng = np.random.default_rng(0)
    samples, labels, groups = [], [], []
    for player in range(3):
        for at, hertz in enumerate(HERTZ.values()):
            for _ in range(6):
                samples.append(window_of(hertz, rng))
                labels.append([at == 0, at == 1])
                groups.append(player)
    return np.float32(samples), np.array(labels), np.array(groups)


@pytest.fixture
def path(tmp_path):
    return filterbank(tmp_path / "bands.onnx", window=CONFIG.window)


@pytest.fixture
def untried(monkeypatch):
    """Class means, without a comparison."""
    monkeypatch.setattr(embedding, "choose", lambda *_: (Choice("prototypes"), {}))


def fitted_on(path, windows, folder, *, rows=None, window=CONFIG):
    samples, labels, groups = windows
    rows = np.arange(len(samples)) if rows is None else rows
    # Each window is a recording.
    each, kept = np.arange(len(samples)), folder / "kept"
    return fit(path, samples, labels, rows, groups, each, config=window, seed=1, kept=kept)


def test_what_is_left_out_is_recognised_and_the_head_is_chosen_by_source(path, windows, tmp_path):
    samples, labels, groups = windows
    fitted = fitted_on(path, windows, tmp_path, rows=np.flatnonzero(groups < 2))
    *tried, trivial = fitted.tried.values()
    assert fitted.tried[str(fitted.choice)] == min(tried) < min(0.3, trivial)
    assert f"{fitted.choice}; cross-entropy on sources left out: " in fitted.why
    for name in fitted.tried:
        assert (name in fitted.summary) == (name in {str(fitted.choice), "each label's share"})
    scores = fitted.scores(samples[groups == 2])
    assert np.array_equal(scores > 0.5, labels[groups == 2])


@pytest.mark.parametrize("kind", ["regression", "network", "prototypes"])
def test_one_graph_has_the_same_scores_with_every_head(path, windows, tmp_path, monkeypatch, kind):
    samples, _, _ = windows
    choice = Choice(kind, 1.0)
    monkeypatch.setattr(embedding, "choose", lambda *_: (choice, {}))
    fitted = fitted_on(path, windows, tmp_path)
    assert fitted.choice == choice
    graph = fitted.onnx(CONFIG)
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model)
    assert [one.name for one in model.graph.input] == ["samples"]
    assert [one.name for one in model.graph.output] == ["scores"]
    found = Session(graph, accelerate=False).predict(samples)
    np.testing.assert_allclose(found, fitted.scores(samples), atol=1e-5)


def test_with_one_source_nothing_is_tried_and_that_is_told(path, windows, tmp_path):
    samples, _, groups = windows
    fitted = fitted_on(path, windows, tmp_path, rows=np.flatnonzero(groups == 0))
    assert (fitted.tried, fitted.choice) == ({}, Choice("regression", ALONE))
    assert fitted.why.endswith("untested, for no label has two sources")
    assert fitted.scores(samples[:1]).shape == (1, 2)


def test_a_label_of_one_source_can_be_left_out(path, windows, tmp_path):
    samples, labels, groups = windows
    labels = labels & ~((groups[:, None] > 0) & np.array([False, True]))
    fitted = fitted_on(path, (samples, labels, groups), tmp_path)
    assert np.isfinite(fitted.scores(samples)).all()


def test_noise_and_silence_have_no_label(path, windows, tmp_path):
    fitted = fitted_on(path, windows, tmp_path)
    quiet = np.stack(quiet_windows(CONFIG, 100, seed=9))
    assert (fitted.scores(quiet) < 0.5).mean() > 0.9


def test_other_sounds_are_learnt_to_have_no_label(path, windows, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "choose", lambda *_: (Choice("regression", 1.0), {}))
    samples, labels, groups = windows
    rng = np.random.default_rng(5)
    others = [np.float32(window_of(6000, rng)) for _ in range(310)]
    scores = []
    for learnt in ((), others[10:]):
        rows = np.arange(len(samples))
        known = {"config": CONFIG, "seed": 1, "kept": tmp_path / "kept", "others": learnt}
        fitted = fit(path, samples, labels, rows, groups, rows, **known)
        scores.append(np.median(fitted.scores(np.stack(others[:10])).max(axis=1)))
    assert scores[1] < scores[0] / 2, scores


@pytest.mark.usefixtures("untried")
def test_embeddings_are_kept_by_the_content_of_windows_and_network(
    path, windows, tmp_path, monkeypatch
):
    asked = []

    def counting(self, some):
        asked.append(len(some))
        return call(self, some)

    call = Backbone.__call__
    monkeypatch.setattr(Backbone, "__call__", counting)
    first = fitted_on(path, windows, tmp_path)
    (kept,) = (tmp_path / "kept").glob("*.npy")
    assert np.load(kept).shape == (36, BANDS)
    assert sum(asked) == 36 + NOISES
    again = fitted_on(path, windows, tmp_path)
    assert sum(asked) == 36 + 2 * NOISES
    np.testing.assert_array_equal(first.head.layers[0][0], again.head.layers[0][0])
    # Of other samples, or by another version of the network, none of them is used.
    fitted_on(path, (windows[0] / 2, *windows[1:]), tmp_path)
    model = onnx.load(path)
    model.producer_version = "2"
    onnx.save(model, path)
    fitted_on(path, windows, tmp_path)
    assert sum(asked) == 3 * 36 + 4 * NOISES
    # Nor where only the weights beside it are others.
    beside = {"save_as_external_data": True, "location": "bands.data", "size_threshold": 0}
    for factor in (1, 2):
        model.graph.initializer[1].raw_data = (factor * filters_of(model)).tobytes()
        onnx.save(model, path, **beside)
        model = onnx.load(path)
        fitted_on(path, windows, tmp_path)
    assert sum(asked) == 5 * 36 + 6 * NOISES


def filters_of(model):
    return onnx.numpy_helper.to_array(model.graph.initializer[1])


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize("damage", [b"", b"no array"])
def test_embeddings_that_are_damaged_are_computed_again(path, windows, tmp_path, damage):
    first = fitted_on(path, windows, tmp_path)
    (kept,) = (tmp_path / "kept").glob("*.npy")
    kept.write_bytes(damage)
    again = fitted_on(path, windows, tmp_path)
    np.testing.assert_array_equal(first.head.layers[0][0], again.head.layers[0][0])
    assert np.load(kept).shape == (36, BANDS)


@pytest.mark.parametrize("outputs", [("embedding", "tags"), ("anything",)])
@pytest.mark.parametrize("window", [CONFIG.window, "any"])
def test_the_output_is_embedding_or_the_only_one(tmp_path, outputs, window):
    path = filterbank(tmp_path / "a.onnx", window=window, outputs=outputs)
    found = open_backbone(path, window=CONFIG.window)(np.zeros((3, CONFIG.window), np.float32))
    assert found.shape == (3, BANDS)


@pytest.mark.parametrize("bands", [128, "any"])
def test_a_network_may_take_the_spectrogram_of_a_window(tmp_path, windows, bands):
    path = spectrogram_means(tmp_path / "mel.onnx", bands=bands)
    assert kind_of(path) == "log_mel"
    backbone = open_backbone(path, window=CONFIG.window)
    samples, labels, groups = windows
    tensors = extract_many(samples, kind="log_mel", config=CONFIG)
    np.testing.assert_array_equal(backbone.of_samples(list(samples), CONFIG), backbone(tensors))
    fitted = fitted_on(path, (tensors, labels, groups), tmp_path)
    graph = fitted.onnx(CONFIG)
    (given,) = onnx.load_from_string(graph).graph.input
    assert given.name == "log_mel"
    assert [one.dim_value for one in given.type.tensor_type.shape.dim][1:] == [128, 22]
    found = Session(graph, accelerate=False).predict(tensors)
    np.testing.assert_allclose(found, fitted.scores(tensors), atol=1e-5)
    assert np.array_equal(found > 0.5, labels)


def test_a_spectrogram_of_other_bands_and_an_input_of_other_axes_are_named(tmp_path, path):
    assert kind_of(path) == "samples"
    told = r"takes log_mel of \(0, 64, 0\) \(0: any\).*or \(n, 128, 22\), its log-mel spectrogram"
    with pytest.raises(MaterialError, match=told):
        open_backbone(spectrogram_means(tmp_path / "a.onnx", bands=64), window=CONFIG.window)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1
    onnx.save(model, tmp_path / "four.onnx")
    with pytest.raises(MaterialError, match=r"takes wave of \(0, 11025, 1, 1\)"):
        open_backbone(tmp_path / "four.onnx", window=CONFIG.window)


def test_a_window_of_another_length_is_named(path):
    with pytest.raises(MaterialError, match=r"takes wave of \(0, 11025\).*\(n, 44100\)"):
        open_backbone(path, window=DEFAULT.window)


def test_of_several_outputs_one_must_be_the_embedding(tmp_path):
    path = filterbank(tmp_path / "a.onnx", window=CONFIG.window, outputs=("a", "b"))
    with pytest.raises(MaterialError, match="takes wave and gives a, b; a backbone takes"):
        open_backbone(path, window=CONFIG.window)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x08" * 50])
def test_a_file_that_is_no_network_is_named(tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(MaterialError, match=r"a\.onnx"):
        open_backbone(path, window=CONFIG.window)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for read in (lambda path: open_backbone(path, window=CONFIG.window), known):
        with pytest.raises(MaterialError, match=r"none\.onnx cannot be read"):
            read(tmp_path / "none.onnx")


def test_embeddings_that_are_not_finite_are_rejected(tmp_path, windows):
    path = filterbank(tmp_path / "a.onnx", window=CONFIG.window, nan=True)
    with pytest.raises(MaterialError, match=r"a\.onnx gave embeddings of .* or not a number"):
        fitted_on(path, windows, tmp_path)


def test_a_backbone_is_tried_on_silence_before_a_recording_is_read(tmp_path, path):
    check_backbone(path, window=CONFIG.window)
    level = by_level(tmp_path / "level.onnx", window=CONFIG.window)
    loud = np.ones((2, CONFIG.window), np.float32)
    assert np.isfinite(open_backbone(level, window=CONFIG.window)(loud)).all()
    told = r"level\.onnx cannot take silence, .* 1 of them infinite or not a number; a network that"
    with pytest.raises(MaterialError, match=told):
        check_backbone(level, window=CONFIG.window)
    with pytest.raises(MaterialError, match=r"of \(3, 12\) for 3 windows, 1 of them infinite"):
        open_backbone(level, window=CONFIG.window)(np.stack([*loud, 0 * loud[0]]))
