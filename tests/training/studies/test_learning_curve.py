"""More recordings bring more, judged on sources left out; each number is of recordings."""

from dataclasses import replace

import numpy as np
import pytest

from training.recordings.collection import CollectionError
from training.studies import importance, learning_curve
from training.studies.learning_curve import chosen, gain, recordings_of
from training.studies.protocol import Options

OPTIONS = Options(rows=400, jobs=1)


@pytest.fixture(scope="module", autouse=True)
def small_forests():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning_curve, "TREES", 10)
        patch.setattr(learning_curve, "DRAWS", 2)
        patch.setattr(importance, "SOURCES", 2)
        yield


@pytest.fixture(scope="module")
def taught(table):
    """The table with recordings of ten windows, each off by a little of its own."""
    rng = np.random.default_rng(2)
    clips = np.arange(len(table)) // 10
    labels = np.eye(3, dtype=bool)[clips % 3]
    own = rng.normal(size=(clips.max() + 1, 26))[clips]
    features = 2.0 * labels @ rng.normal(size=(3, 26)) + 1.5 * own
    features += 0.1 * rng.normal(size=features.shape)
    return replace(
        table, labels=labels, clips=clips.astype(np.int32), features=features.astype(np.float32)
    )


@pytest.fixture(scope="module")
def study(taught):
    return learning_curve.run(taught, OPTIONS, lambda _done, _total: None)


def test_more_recordings_bring_more_on_every_source(study):
    curves = study.data["curves"]
    assert set(curves) == {"a", "b"}
    for found in curves.values():
        counts = sorted(found)
        assert counts[:3] == [1, 2, 4]
        assert found[counts[-1]] > found[1] + 0.05
    assert all(value > 0 for value in study.data["gain_of_twice_as_many"].values())


def test_the_tables_hold_every_number_and_the_band(study):
    numbers, forecast = study.sheets
    assert [row[0] for row in numbers.rows][:3] == ["chance", "1", "2"]
    # A third of the windows has each label.
    assert numbers.rows[0][1] == pytest.approx(1 / 3, abs=0.05)
    for row in numbers.rows:
        assert row[2] <= row[1] <= row[3]
    middle, low, high = (row[1] for row in forecast.rows)
    assert low <= middle <= high


def test_where_each_source_has_one_label_what_is_learnt_is_measured_on_several(taught):
    sources = np.asarray(taught.clips) % 12
    about = {**taught.about, "sources": [f"s{at:02}" for at in range(12)]}
    rng = np.random.default_rng(0)
    features = rng.normal(size=taught.features.shape).astype(np.float32)
    one = replace(taught, groups=sources.astype(np.int32), about=about, features=features)
    found = learning_curve.run(one, OPTIONS, lambda _done, _total: None)
    # Features that tell nothing are worth no more than chance, where each source alone had 1.
    assert max(max(curve.values()) for curve in found.data["curves"].values()) < 0.6


def test_so_many_recordings_of_each_label_are_chosen_and_all_without_a_label(taught):
    labels = np.array(taught.labels)
    labels[np.asarray(taught.clips) == 0] = False
    table = replace(taught, labels=labels)
    rows = np.arange(len(table))
    recordings = recordings_of(np.asarray(table.clips), labels)
    found = chosen(table, rows, recordings, 2, np.random.default_rng(0))
    clips = np.asarray(table.clips)[found]
    assert 0 in clips
    for label in range(3):
        assert len(np.unique(clips[labels[found, label]])) == 2


def test_a_label_with_fewer_recordings_gives_all_that_it_has(taught):
    clips, labels = np.array([1, 1, 2, 3]), np.eye(2, dtype=bool)[[0, 0, 1, 1]]
    recordings = recordings_of(clips, labels)
    assert {label: found.tolist() for label, found in recordings.items()} == {0: [1], 1: [2, 3]}


@pytest.mark.parametrize(
    ("found", "rise"),
    [
        ({1: 0.2, 2: 0.3}, 0.1),
        ({1: 0.0, 2: 0.5, 4: 0.6, 8: 0.7}, 0.1),
        ({4: 0.5, 8: 0.5, 16: 0.5}, 0.0),
    ],
)
def test_the_gain_is_that_of_the_last_doublings(found, rise):
    assert gain(found) == pytest.approx(rise)


def test_one_recording_of_each_label_is_no_curve(taught):
    table = replace(taught, clips=np.zeros(len(taught), np.int32))
    with pytest.raises(CollectionError, match="a learning curve needs two sources"):
        learning_curve.run(table, OPTIONS, lambda _done, _total: None)
