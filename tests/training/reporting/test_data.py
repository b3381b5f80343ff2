"""The figures of the report, beside scikit-learn's and beside cases small enough to count."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

from training.evaluation.leave_one_out import SourceScores
from training.reporting.data import (
    FIGURES,
    bootstrap,
    intervals,
    label_data,
    mistakes,
    precision_recall,
)

LIMITS = {"a": 0.5, "b": 0.5}


@pytest.fixture
def scored(rng=None):
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.3
    return np.clip(0.5 * truth + rng.normal(0.3, 0.2, 500), 0, 1).astype(np.float32), truth


def test_a_label_s_figures_are_scikit_learn_s(scored):
    scores, truth = scored
    found = label_data(scores, truth, 0.6)
    assert found["f1"] == pytest.approx(f1_score(truth, scores >= 0.6))
    assert found["average_precision"] == pytest.approx(average_precision_score(truth, scores))
    assert found["sweep"]["f1"][0] == pytest.approx(
        f1_score(truth, scores >= found["sweep"]["threshold"][0])
    )


def test_every_point_of_the_curve_lies_on_scikit_learn_s(scored):
    scores, truth = scored
    curve = precision_recall(scores, truth)
    exact = {
        (round(r, 9), round(p, 9))
        for p, r in zip(*precision_recall_curve(truth, scores)[:2], strict=True)
    }
    ours = [
        (round(r, 9), round(p, 9)) for r, p in zip(curve["recall"], curve["precision"], strict=True)
    ]
    ties = len(scores) - len(np.unique(scores))
    assert sum(point not in exact for point in ours) <= ties
    assert 50 <= len(ours) <= 100
    assert ours[-1][0] == 1


def test_a_label_without_a_window_has_an_empty_curve_and_no_recall():
    found = label_data(np.zeros(4, np.float32), np.zeros(4, bool), 0.5)
    assert (found["recall"], found["precision"], found["curve"]["recall"]) == (None, None, [])


def test_the_interval_holds_the_mean_and_grows_with_the_spread():
    mean, low, high = bootstrap([0.5, 0.6, None, 0.7])
    assert mean == pytest.approx(0.6)
    assert low < mean < high
    assert bootstrap([0.1, 0.6, 1.0])[2] > high
    assert bootstrap([0.4]) == (0.4, 0.4, 0.4)
    assert bootstrap([None]) is None
    assert bootstrap([]) is None


def scores_of(scores, labels, *, source="here", kind="solo", first=0):
    rows = np.arange(first, first + len(scores))
    return SourceScores(
        source, np.float32(scores), np.array(labels, bool), np.full(len(rows), kind), rows
    )


def test_many_sources_judged_as_one_still_have_an_interval_over_sources():
    rng = np.random.default_rng(0)
    labels = np.eye(2, dtype=bool)[rng.integers(2, size=600)]
    groups = np.repeat(np.arange(60), 10)
    # Half of the sources are heard well, the others not at all.
    scores = np.where(labels ^ (groups % 2 == 1)[:, None], 0.9, 0.1)
    one = replace(scores_of(scores, labels), groups=groups)
    known = {"top-1": {"60 sources": 0.5}}
    mean, low, high = intervals([one], known, np.array([0.5, 0.5]))["top-1"]
    assert mean == pytest.approx(0.5)
    assert 2 * 1.96 * 0.5 / np.sqrt(60) == pytest.approx(high - low, rel=0.2), (
        "as wide as 60 draws make it, not 600"
    )
    alone = replace(one, groups=np.zeros(600))
    assert intervals([alone], known, np.array([0.5, 0.5])) == {"top-1": (0.5, 0.5, 0.5)}


def test_a_few_sources_of_one_model_are_measured_together_and_drawn_for_the_interval():
    # Each source has one label: alone, nothing could be taken for it.
    rng = np.random.default_rng(0)
    several = [
        replace(
            scores_of(rng.random((20, 2)), np.eye(2)[[number % 2] * 20], source=str(number)),
            groups=np.full(20, number),
        )
        for number in range(6)
    ]
    known = {"mAP": {str(number): None for number in range(6)}}
    middle, low, high = intervals(several, known, np.array([0.5, 0.5]))["mAP"]
    assert 0.4 < middle < 0.65
    assert low <= middle <= high < 0.8


def of_one_label_each(labels):
    """Scores of a perfect model; each source has 20 windows of one label."""
    return [
        replace(
            scores_of(np.eye(2)[[label] * 20], np.eye(2)[[label] * 20], source=str(number)),
            groups=np.full(20, number),
        )
        for number, label in enumerate(labels)
    ]


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 1], [0, 1, 1, 1]])
def test_draws_that_a_figure_is_not_known_of_do_not_count_as_none(labels):
    known = {key: {str(number): None for number in range(len(labels))} for key in FIGURES}
    found = intervals(of_one_label_each(labels), known, np.array([0.5, 0.5]))
    assert found == dict.fromkeys(FIGURES, (1, 1, 1))


@pytest.mark.parametrize("labels", [[0], [1, 1, 1]])
def test_a_figure_that_nothing_supports_has_no_interval(labels):
    known = {key: {str(number): None for number in range(len(labels))} for key in FIGURES}
    found = intervals(of_one_label_each(labels), known, np.array([0.5, 0.5]))
    assert found == {"macro-F1": (1, 1, 1), "top-1": (1, 1, 1)}
    apart = [replace(one, groups=np.zeros(0)) for one in of_one_label_each(labels)]
    assert intervals(apart, known | {"top-1": {"0": 0.5}}, np.array([0.5, 0.5])) == {
        "top-1": (0.5, 0.5, 0.5)
    }


def test_the_worst_mistake_comes_first_and_says_what_is_wrong():
    one = scores_of([[0.9, 0.6], [0.1, 0.95], [0.45, 0.2]], [[1, 0], [1, 0], [1, 0]])
    found = mistakes([one], LIMITS)
    assert [(m.row, m.label, m.missed) for m in found] == [(1, "b", False)], (
        "a window is shown once"
    )
    assert found[0].plays == ["a"]
    assert found[0].scores == {"b": pytest.approx(0.95), "a": pytest.approx(0.1)}


def test_sources_share_the_room_and_noise_is_called_so():
    many = scores_of([[0.0, 0.9], [0.9, 0.0]], [[1, 0], [0, 1]], source="many")
    noise = scores_of([[0.99, 0.0]], [[0, 0]], source="other", kind="noise", first=9)
    found = mistakes([many, noise], LIMITS, count=2)
    assert {m.source for m in found} == {"many", "noise"}
    assert found[0].missed


def test_an_answer_on_the_threshold_is_given_and_right_answers_are_no_mistakes():
    assert mistakes([scores_of([[0.5, 0.4999]], [[1, 0]])], LIMITS) == []
    assert mistakes([scores_of([[0.5, 0.49]], [[0, 0]])], LIMITS) == [], (
        "said, but not by any margin"
    )
