"""A group that tells the labels falls when shuffled; one that tells nothing does not."""

from dataclasses import replace

import numpy as np
import pytest

from features.extract import FEATURE_NAMES
from training.studies import importance
from training.studies.protocol import Options, honest

OPTIONS = Options(rows=300, jobs=1)


@pytest.fixture(scope="module")
def telling(table):
    """The table, but only rms tells, and only the first label."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=table.features.shape).astype(np.float32)
    features[:, FEATURE_NAMES.index("rms")] += 4 * np.asarray(table.labels)[:, 0]
    return replace(table, features=features)


def test_groups_hold_every_feature_once():
    assert sorted(column for columns in importance.GROUPS.values() for column in columns) == list(
        range(26)
    )
    assert list(importance.GROUPS) == [
        "chroma",
        "rms",
        "centroid",
        "bandwidth",
        "rolloff",
        "zcr",
        "mfcc",
    ]


def test_only_the_telling_group_falls(telling):
    whole, falls = importance.importance(telling, honest(telling, OPTIONS), OPTIONS)
    fall = {group: mean for group, (mean, _) in falls.items()}
    assert fall["rms"] > 0.1
    assert all(abs(value) < 0.08 for group, value in fall.items() if group != "rms")
    assert 0 < whole <= 1


def test_every_source_is_left_out_in_turn_and_judged_by_its_originals(table):
    parts = importance.left_out(table, OPTIONS)
    assert list(parts) == ["a", "b", "c", "d", "e"]
    groups, copies = np.asarray(table.groups), np.asarray(table.copies)
    for number, one in enumerate(parts.values()):
        assert number not in groups[one.train]
        assert set(groups[one.test].tolist()) == {number}
        assert not copies[one.test].any()


def test_sources_of_one_label_are_left_out_together(table):
    groups = np.arange(len(table)) % 12
    about = {**table.about, "sources": [f"s{at:02}" for at in range(12)]}
    labels = np.eye(3, dtype=bool)[groups % 3]
    one = replace(table, groups=groups.astype(np.int32), labels=labels, about=about)
    parts = importance.left_out(one, OPTIONS)
    assert list(parts) == [f"group {at} of 3 sources" for at in range(1, 5)]
    for each in parts.values():
        assert not {*groups[each.train]} & {*groups[each.test]}
        assert labels[each.test].any(axis=0).all()
        assert not labels[each.test].all(axis=0).any()
    # A label of one source cannot be learnt where that is left out.
    labels[groups == 11] = False
    rare = replace(one, labels=np.column_stack([labels, groups == 11]))
    assert next(iter(importance.left_out(rare, OPTIONS))).startswith("group 1 of ")
    alone = replace(one, labels=np.eye(12, dtype=bool)[groups])
    assert importance.left_out(alone, OPTIONS) == {}


def test_map_is_of_labels_that_some_windows_have_not():
    truth = np.array([[1, 1, 0], [1, 0, 0]], bool)
    scores = np.array([[0.1, 0.2, 0.0], [0.9, 0.8, 0.0]], np.float32)
    assert importance.mean_average_precision(scores, truth) == 0.5
    assert importance.mean_average_precision(scores[:, :1], truth[:, :1]) == 0.0


def test_mixtures_and_noise_are_not_left_out_and_mixtures_do_not_train_for_their_parts(table):
    labels = np.where((np.asarray(table.groups) == 3)[:, None], False, table.labels)
    mixed = replace(
        table, labels=labels, about={**table.about, "sources": ["a", "b", "a+b", "noise", "e"]}
    )
    parts = importance.left_out(mixed, OPTIONS)
    assert list(parts) == ["a", "b", "e"]
    groups = np.asarray(table.groups)
    assert [set(groups[one.train].tolist()) for one in parts.values()] == [
        {1, 3, 4},
        {0, 3, 4},
        {0, 1, 2, 3},
    ]


@pytest.mark.slow  # fits a forest a source
def test_the_study_has_the_test_part_the_leaky_one_and_a_column_a_source(telling):
    study = importance.run(telling, replace(OPTIONS, rows=60), lambda _done, _total: None)
    assert list(study.sheets[0].head) == [
        "shuffled", "test part", "test part (leaky)", *(f"without {name}" for name in "abcde")
    ]  # fmt: skip
    assert [row[0] for row in study.sheets[0].rows][1:] == list(importance.GROUPS)
