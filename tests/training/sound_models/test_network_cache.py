"""The cache of networks: a killed training resumes, and keys tell networks apart."""

from dataclasses import replace

import numpy as np
import pytest

from training.common.recipe import load
from training.sound_models import network, network_cache

ROWS = np.arange(24)


@pytest.fixture(scope="module")
def settings():
    changes = (
        "profile=quick",
        "network.members=2",
        "network.batch=8",
        "network.channels=[4]",
        "network.strides=[[4,4]]",
    )
    return load("instruments", changes).network


@pytest.fixture(scope="module")
def material():
    rng = np.random.default_rng(0)
    return rng.normal(-40, 20, (32, 16, 12)).astype(np.float16), rng.random((32, 3)) < 0.4


def fit(material, settings, kept, *, rows=ROWS, seed=1, watched=8):
    spectrograms, labels = material
    held_out = (spectrograms[24 : 24 + watched], labels[24 : 24 + watched])
    return network.fit(
        spectrograms, labels, rows, settings, seed=seed, held_out=held_out, kept=kept
    )


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_finished_is_read_and_not_trained_again(material, settings, tmp_path):
    first = fit(material, settings, tmp_path / "kept")
    there = files(tmp_path / "kept")
    assert len(there) == 2, "one for each member"
    written = [(tmp_path / "kept" / name).stat().st_mtime_ns for name in there]
    again = fit(material, settings, tmp_path / "kept")
    assert [(tmp_path / "kept" / name).stat().st_mtime_ns for name in there] == written
    np.testing.assert_array_equal(again.scores(material[0]), first.scores(material[0]))
    assert again.history == first.history
    assert files(tmp_path / "kept") == there


def test_what_is_kept_is_what_would_have_been_trained(material, settings, tmp_path):
    fit(material, settings, tmp_path)
    kept, alone = fit(material, settings, tmp_path), fit(material, settings, None)
    np.testing.assert_array_equal(kept.scores(material[0]), alone.scores(material[0]))
    assert kept.history == alone.history


def test_one_more_member_trains_one_more_network(material, settings, tmp_path):
    fit(material, settings, tmp_path)
    two = files(tmp_path)
    fit(material, replace(settings, members=3), tmp_path)
    assert len(files(tmp_path)) == 3
    assert set(two) < set(files(tmp_path))


@pytest.mark.parametrize(
    ("setting", "call"),
    [
        ({}, {"seed": 5}),
        ({}, {"rows": ROWS[:16]}),
        ({}, {"watched": 4}),
        ({"rate": 1e-4}, {}),
        ({"epochs": 2}, {}),
    ],
)
def test_another_network_is_another_file(material, settings, tmp_path, setting, call):
    fit(material, settings, tmp_path)
    fit(material, replace(settings, **setting), tmp_path, **call)
    assert len(files(tmp_path)) == 4


def test_other_labels_are_another_network(material, settings, tmp_path):
    fit(material, settings, tmp_path)
    labels = material[1].copy()
    labels[3] = ~labels[3]
    fit((material[0], labels), settings, tmp_path)
    assert len(files(tmp_path)) == 4


def test_a_draft_of_a_killed_writer_is_no_network(material, settings, tmp_path):
    name = network_cache.name((32, 16, 12), material[1], ROWS, settings, seed=1, held_out=None)
    draft = tmp_path / f".draft-host-1-0-{name}"
    draft.write_bytes(b"PK half")
    made = network.fit(material[0], material[1], ROWS, settings, seed=1, kept=tmp_path)
    assert (tmp_path / name).is_file()
    assert made.history
    weights, history = network_cache.read(tmp_path / name)
    assert set(weights) == set(made.members[0].state_dict())
    assert len(history) == settings.epochs
