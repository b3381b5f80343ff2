"""Sets whose pairs must be the closer, the larger they become."""

import numpy as np
import pytest

from training.pictures.dataset import linkage


def sets_of(count, pairs, *, least=0.9):
    names = [pair for pair, _ in pairs]
    closeness = np.array([close for _, close in pairs], np.float32)
    found = linkage.Linkage(count, least=least)
    found.join(np.array(names, np.int64).reshape(-1, 2), closeness)
    number = found.sets()
    return [np.flatnonzero(number == one).tolist() for one in range(number.max(initial=-1) + 1)]


def chain(count, close):
    return [((i, i + 1), close) for i in range(count - 1)]


def test_a_chain_of_pairs_that_are_barely_close_ends_at_the_free_size():
    assert max(map(len, sets_of(40, chain(40, 0.91)))) == linkage.FREE


@pytest.mark.parametrize(("close", "joined"), [(0.9499, False), (0.9501, True)])
def test_twice_the_free_size_asks_for_half_the_difference(close, joined):
    one, other = chain(4, 0.99), [((i + 4, j + 4), c) for (i, j), c in chain(4, 0.99)]
    found = sets_of(8, [*one, *other, ((0, 4), close)])
    assert [len(each) for each in found] == ([8] if joined else [4, 4])


def test_pairs_that_are_equal_make_a_set_of_any_size():
    assert sets_of(500, chain(500, 1.0)) == [list(range(500))]


def test_the_closest_pairs_come_first_in_whatever_order_they_are_given():
    pairs = [((i, i + 1), 0.91 + i / 1000) for i in range(5)] + [((0, 5), 0.99), ((2, 3), 0.98)]
    found = sets_of(6, pairs)
    assert found == sets_of(6, pairs[::-1])
    assert any({0, 5} <= set(each) for each in found)
    assert any({2, 3} <= set(each) for each in found)


def test_the_size_of_a_chunk_changes_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    pairs = [
        (tuple(sorted(pair)), float(close))
        for pair, close in zip(rng.integers(0, 60, (400, 2)), rng.uniform(0.9, 1, 400), strict=True)
    ]
    whole = sets_of(60, pairs)
    monkeypatch.setattr(linkage, "CHUNK", 7)
    assert sets_of(60, pairs) == whole


def test_pairs_given_in_batches_the_closest_first_make_the_same_sets_as_at_once():
    rng = np.random.default_rng(1)
    pairs, closeness = rng.integers(0, 60, (600, 2)), rng.uniform(0.9, 1, 600).astype(np.float32)
    order = np.argsort(-closeness, kind="stable")
    whole, parts = (linkage.Linkage(60, least=0.9) for _ in range(2))
    whole.join(pairs, closeness)
    for some in np.array_split(order, 7):
        parts.join(pairs[some], closeness[some])
        assert not parts.may_join(pairs[some], closeness[some]).any()
    assert (whole.sets() == parts.sets()).all()


@pytest.mark.parametrize(("close", "may"), [(0.8999, False), (0.9001, True)])
def test_a_pair_may_join_from_the_least_closeness_on(close, may):
    found = linkage.Linkage(2, least=0.9)
    pair = np.array([[0, 1]])
    assert found.may_join(pair, np.array([close], np.float32)).tolist() == [may]
    assert found.may_join(np.array([[1, 1]]), np.array([1], np.float32)).tolist() == [False]


def test_without_pairs_each_row_is_a_set():
    assert sets_of(3, []) == [[0], [1], [2]]
    assert sets_of(0, []) == []
