"""Soft targets: from heads not trained on the source of a window."""

import numpy as np
import pytest

from training.common.recipe import load
from training.sound_models import teacher

SOURCES = ("a", "b", "c")


@pytest.fixture(scope="module")
def settings():
    return load("instruments").network


@pytest.fixture(scope="module")
def material():
    """Two labels that two numbers tell; what is called one in `c` is the other elsewhere."""
    rng = np.random.default_rng(0)
    source = np.repeat(SOURCES, 200)
    heard = rng.random((600, 2)) < 0.5
    heard[:, 0] |= ~heard.any(axis=1)
    embeddings = (3.0 * heard + rng.normal(0, 0.3, heard.shape)).astype(np.float32)
    labels = np.where((source == "c")[:, None], heard[:, ::-1], heard)
    return embeddings, labels, source


def targets(material, settings, **changes):
    return teacher.soft_targets(*material, settings, **{"share": 0.7, "seed": 1} | changes)


def test_a_head_learns_what_tells_the_labels_apart(material, settings):
    embeddings, labels, source = material
    head = teacher.fit_teacher_head(
        embeddings, labels, np.flatnonzero(source == "a"), settings, seed=1
    )
    own = source == "b"
    assert ((head.scores(embeddings[own]) > 0.5) == labels[own]).mean() > 0.95


@pytest.mark.parametrize("spread", [0.0, 1e-8, 1e-5])
def test_a_number_that_never_changed_decides_nothing_later(material, settings, spread):
    embeddings, labels, _ = material
    dead = np.random.default_rng(1).normal(0, spread, (len(labels), 50))
    wider = np.concatenate([embeddings, dead], axis=1).astype(np.float32)
    head = teacher.fit_teacher_head(wider, labels, np.arange(len(labels)), settings, seed=1)
    later = wider.copy()
    later[:, 2:] += 0.01
    np.testing.assert_allclose(head.scores(later), head.scores(wider), atol=1e-5)


def test_windows_are_judged_by_heads_that_never_met_their_source(material, settings):
    labels, source = material[1:]
    found = targets(material, settings, share=1.0)
    one = labels.sum(axis=1) == 1
    right = (found.argmax(axis=1) == labels.argmax(axis=1))[one]
    # Heads of `a` and `b`, and nothing of `c` itself, say what is heard there.
    assert right[source[one] == "c"].mean() < 0.1


def test_the_rest_of_the_target_is_the_label(material, settings):
    whole, part = (targets(material, settings, share=share) for share in (1.0, 0.7))
    np.testing.assert_allclose(part, 0.3 * material[1] + 0.7 * whole, atol=1e-6)
    np.testing.assert_array_equal(targets(material, settings, share=0.0), material[1])


def test_excluded_sources_teach_nothing_and_keep_their_labels(material, settings):
    embeddings, labels, source = material
    found = targets(material, settings, excluded=("c",))
    np.testing.assert_array_equal(found[source == "c"], labels[source == "c"])
    other = np.where((source == "c")[:, None], ~labels, labels)
    again = teacher.soft_targets(
        embeddings, other, source, settings, share=0.7, seed=1, excluded=("c",)
    )
    np.testing.assert_array_equal(found[source != "c"], again[source != "c"])


def test_a_window_across_two_sources_keeps_its_labels_and_teaches_neither(material, settings):
    embeddings, labels, source = material
    mixed = source.astype("<U9")
    mixed[:20] = "a+b"
    found = teacher.soft_targets(embeddings, labels, mixed, settings, share=1.0, seed=1)
    np.testing.assert_array_equal(found[:20], labels[:20])
    other = labels.copy()
    other[:20] = ~other[:20]
    again = teacher.soft_targets(embeddings, other, mixed, settings, share=1.0, seed=1)
    of_both = np.isin(mixed, ("a", "b"))
    np.testing.assert_array_equal(found[of_both], again[of_both])


def test_noise_and_what_no_other_source_could_teach_keep_their_labels(material, settings):
    embeddings, labels, source = material
    quiet = labels.copy()
    quiet[:5] = False
    assert not targets((embeddings, quiet, source), settings)[:5].any()
    alone = np.full(600, "a")
    np.testing.assert_array_equal(targets((embeddings, labels, alone), settings), labels)
