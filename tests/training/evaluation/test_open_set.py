"""Thresholds that leave other sounds without a label, and their cost."""

import numpy as np
import pytest

from training.evaluation.open_set import AS_CALIBRATED, ONE_FOR_ALL, SHARES, compare, floors

OTHERS = np.linspace(0, 0.99, 100, dtype=np.float32)


def two_labels(first, second=0.0):
    return np.column_stack([first, np.broadcast_to(second, np.shape(first))]).astype(np.float32)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_share_of_other_sounds_gets_no_label_and_no_more_than_needed(share):
    scores = two_labels(OTHERS, OTHERS[::-1] / 2)
    limits = floors(scores, share)
    rejected = ~(scores >= limits).any(axis=1)
    assert share <= rejected.mean() <= share + 0.02


def test_of_a_share_of_none_nothing_is_raised():
    assert floors(two_labels(OTHERS), 0.0).tolist() == [0, 0]
    assert floors(np.zeros((0, 2), np.float32), 0.9).tolist() == [0, 0]


def test_no_threshold_is_above_one():
    assert floors(np.ones((5, 2), np.float32), 0.9).tolist() == [1, 1]


@pytest.fixture
def found():
    """Right labels score 0.8, half of them 0.45; the first label is taken for other sounds."""
    truth = np.repeat([[True, False], [False, True]], 10, axis=0)
    known = np.where(truth, np.where(np.arange(20)[:, None] % 2, 0.8, 0.45), 0.0)
    others = two_labels(OTHERS * 0.9)
    kinds = ["noise"] * 50 + ["like music"] * 50
    return compare(
        known, truth, np.float32([0.4, 0.4]), chosen_on=others, judged_on=others, kinds=kinds
    )


def test_each_share_says_what_it_costs_on_known_sounds_and_what_it_rejects(found):
    calibrated = found[AS_CALIBRATED]
    assert (calibrated["macro_f1"], calibrated["missed"]) == (1.0, 0.0)
    assert 0.4 < calibrated["rejected"] < 0.5
    assert calibrated["kinds"]["noise"] > calibrated["kinds"]["like music"]
    for share in SHARES:
        assert found[f"{share:.0%}"]["rejected"] >= share
    assert found["90%"]["missed"] > 0
    assert found["90%"]["macro_f1"] < 1


def test_one_threshold_for_all_labels_rejects_as_many_and_costs_more(found):
    for share in SHARES:
        trivial = found[f"{share:.0%}, {ONE_FOR_ALL}"]
        assert trivial["rejected"] >= share
        # The second label is never taken for another sound: its own threshold can stay.
        assert trivial["missed"] >= found[f"{share:.0%}"]["missed"]
    assert found[f"90%, {ONE_FOR_ALL}"]["missed"] > found["90%"]["missed"]
