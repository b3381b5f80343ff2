"""The artefacts in the repository: what they promise, and what they hear in a real recording."""

from pathlib import Path

import numpy as np
import pytest

from features.extract import compute, extract_many
from models.store import DEFAULT_PATH, Store
from tests.models.helpers.multiplications import multiplications
from training.common.labels import LABELS, RATE
from training.notes.library import decode_file

STRINGS = {"violin", "viola", "cello", "contrabass"}


@pytest.fixture(scope="module")
def store():
    return Store(DEFAULT_PATH)


@pytest.fixture(scope="module", params=["instruments", "instruments-net", "instruments-forest"])
def model(request, store):
    return store.load(request.param)


def test_it_hears_the_eleven_instruments_and_is_small(model):
    folder = Path(DEFAULT_PATH, model.name, model.version)
    assert model.labels == list(LABELS)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000_000


def test_it_says_which_source_was_left_out_and_how_well_it_did(model):
    metrics = model.manifest.metrics
    assert set(metrics["left_out"]) >= {"philharmonia", "vsco", "generaluser"}
    for figures in metrics["left_out"].values():
        assert figures["top1"] > figures["top1_majority"]
        assert figures["accuracy"] > figures["accuracy_all_negative"] - 0.02
        assert figures["quiet_without_label"] >= 0.97


def test_the_better_one_has_the_plain_name(store):
    best, net, forest = (
        store.load(name).manifest.metrics["mean"]["macro_f1"]
        for name in ("instruments", "instruments-net", "instruments-forest")
    )
    assert best == max(net, forest)


def test_nothing_under_the_gpl_was_trained_on(model):
    assert model.manifest.provenance
    assert not [
        s for s in model.manifest.provenance if "GPL" in s["licence"] and "training" in s["use"]
    ]


def test_noise_and_silence_get_no_label(model):
    rng = np.random.default_rng(5)
    windows = [
        np.zeros(2 * RATE, np.float32),
        *(level * rng.normal(size=(3, 2 * RATE)) for level in (1e-4, 0.03, 0.2)),
    ]
    scores = model.predict(extract_many(np.vstack(windows).astype(np.float32), kind=model.kind))
    assert not (scores >= model.thresholds).any()


def test_the_network_keeps_its_budget_of_size_and_arithmetic(store):
    model = store.load("instruments")
    graph = Path(DEFAULT_PATH, model.name, model.version, "model.onnx").read_bytes()
    assert len(graph) <= 3_000_000
    assert multiplications(graph) <= 40  # millions: less than 5 ms a window on one core


def test_a_string_orchestra_gives_strings_and_hardly_anything_else(store, shared_data):
    model = store.load("instruments")
    sound = decode_file(next((shared_data / "audio" / "ensemble").iterdir()))
    starts = range(0, len(sound) - 2 * RATE, RATE)
    batch = np.stack(
        [compute(sound[start : start + 2 * RATE], kind=model.kind) for start in starts]
    )
    on = model.predict(batch) >= model.thresholds
    strings = np.isin(model.labels, list(STRINGS))
    assert on[:, strings].any(axis=1).mean() >= 0.6
    assert on[:, ~strings].any(axis=1).mean() <= 0.15
    winds = np.isin(model.labels, ["horn", "oboe", "bassoon", "clarinet", "flute"])
    assert on[:, winds].any(axis=1).mean() <= 0.05
