"""Honest splits share no source and no copy; leaky ones share both and score higher."""

from dataclasses import replace

import numpy as np
import pytest

from training.evaluation.metrics import multi_label
from training.recordings.collection import CollectionError
from training.studies.estimators import Prepared, forest
from training.studies.protocol import Options, choose, honest, leaky, measure

OPTIONS = Options(rows=1000, jobs=1)


def sources(table, rows):
    return set(np.asarray(table.groups)[rows].tolist())


def test_honest_parts_share_no_source_and_judge_on_originals(table):
    parts = honest(table, OPTIONS)
    assert [sources(table, rows) for rows in parts] == [{0, 1, 2}, {3}, {4}]
    assert np.asarray(table.copies)[parts.train].any()
    assert not np.asarray(table.copies)[np.concatenate([parts.valid, parts.test])].any()


def test_leaky_parts_are_as_large_disjoint_and_of_the_same_sources(table):
    fair, parts = honest(table, OPTIONS), leaky(table, OPTIONS)
    assert [len(rows) for rows in parts] == [len(rows) for rows in fair]
    assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts))
    assert sources(table, parts.train) == sources(table, parts.test) == {0, 1, 2, 3, 4}
    assert np.asarray(table.copies)[parts.test].any(), "copies evaluate, as they did"


@pytest.mark.parametrize(
    ("rows", "sizes"), [(90, [90, 30, 30]), (359, [359, 60, 60]), (27, [27, 9, 9])]
)
def test_parts_keep_to_the_rows_asked_for(table, rows, sizes):
    assert [len(part) for part in honest(table, replace(OPTIONS, rows=rows))] == sizes


def test_fewer_training_windows_than_a_projection_needs_are_refused(table):
    with pytest.raises(CollectionError, match="26 training windows: a study needs at least 27"):
        honest(table, replace(OPTIONS, rows=26))


def test_the_same_seed_draws_the_same_windows(table):
    few = replace(OPTIONS, rows=50)
    for draw in (honest, leaky):
        assert all(
            np.array_equal(a, b) for a, b in zip(draw(table, few), draw(table, few), strict=True)
        )
        assert not np.array_equal(draw(table, few).train, draw(table, replace(few, seed=2)).train)


def test_leakage_looks_like_skill(table):
    scores = {}
    for name, parts in (("honest", honest(table, OPTIONS)), ("leaky", leaky(table, OPTIONS))):
        learner = Prepared(forest(seed=1, jobs=1, trees=50))
        learner.fit(np.asarray(table.features[parts.train]), np.asarray(table.labels[parts.train]))
        said = learner.scores(np.asarray(table.features[parts.test]))
        scores[name] = measure(
            said, np.asarray(table.labels[parts.test]), thresholds=0.5, names=table.names
        )
    assert scores["leaky"]["accuracy"] > scores["honest"]["accuracy"] + 0.05


def test_a_table_with_an_empty_part_is_refused_by_name(table):
    only_train = replace(table, parts=np.zeros(len(table), np.uint8))
    with pytest.raises(CollectionError, match="no window in valid, test"):
        honest(only_train, OPTIONS)


def test_accuracy_is_at_one_half_whatever_the_thresholds():
    scores, labels = np.array([[0.6, 0.2]], np.float32), np.array([[True, True]])
    found = measure(scores, labels, thresholds=[0.7, 0.1], names=["a", "b"])
    assert found["accuracy"] == 0.5
    assert (
        found["f1"]
        == multi_label(scores, labels, thresholds=np.array([0.7, 0.1]), names=["a", "b"])["f1"]
    )


def test_thresholds_are_those_of_best_f1():
    scores = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    limits = choose(scores, scores >= 0.3, np.zeros(100, np.int32))
    assert limits[0] == pytest.approx(0.3, abs=0.02)
