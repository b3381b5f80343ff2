"""The rows of a table that a search may see, and their folds."""

import numpy as np
import pytest

from training.search.feature_table import open_table
from training.search.splits import SearchError


def test_the_test_part_stays_out(table):
    opened = open_table(table)
    kept = np.arange(160) % 8 != 7
    assert len(opened) == 140
    np.testing.assert_array_equal(opened.features, np.load(table / "features.npy")[kept])
    assert opened.sources[:3].tolist() == ["cello-a", "cello-a", "cello-b"]


def test_a_table_without_parts_and_copies_is_all_there(table):
    (table / "parts.npy").unlink()
    (table / "copies.npy").unlink()
    opened = open_table(table)
    assert len(opened) == 160
    assert not opened.copies.any()


def test_copies_never_judge_and_shuffled_rows_have_none(table):
    opened = open_table(table)
    kept, folds = opened.split(3, by_source=False, seed=0)
    assert not kept.copies.any()
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(len(kept)))
    kept, folds = opened.split(None, by_source=True, seed=0)
    assert len(folds) == 4
    for train, test in folds:
        assert kept.copies[train].any()
        assert not kept.copies[test].any()
        assert not set(kept.sources[train]) & set(kept.sources[test])


def test_rows_are_drawn_by_a_seed(table):
    opened = open_table(table)
    assert len(opened.drawn(50, seed=0)) == 50
    np.testing.assert_array_equal(
        opened.drawn(50, seed=1).features, opened.drawn(50, seed=1).features
    )
    assert (opened.drawn(50, seed=1).features != opened.drawn(50, seed=0).features).any()
    for rows in (None, 140, 141):
        assert opened.drawn(rows, seed=0) is opened
    assert len(opened.drawn(139, seed=0)) == 139


@pytest.mark.parametrize("missing", ["table.json", "features.npy", "labels.npy", "groups.npy"])
def test_what_is_no_table_is_refused(table, missing):
    (table / missing).unlink()
    with pytest.raises(
        SearchError, match=f"is not a feature table of `timbre data table`: .*{missing}"
    ):
        open_table(table)


def test_arrays_of_different_lengths_are_refused(table):
    np.save(table / "features.npy", np.zeros((159, 26), np.float32))
    with pytest.raises(SearchError, match="159 rows of features, 160 of labels, 160 of groups"):
        open_table(table)
    np.save(table / "features.npy", np.zeros((160, 26), np.float32))
    np.save(table / "groups.npy", np.full(160, 5, np.int32))
    with pytest.raises(SearchError, match="is not a feature table"):
        open_table(table)
