"""What a choice of thresholds costs: on one label, on several, on noise, by source left out."""

import numpy as np
import pytest

from training.evaluation.leave_one_out import SourceScores
from training.evaluation.threshold_choices import CHOICES, OWN, Choice, compare, measure

KINDS = np.array(["note", "note", "note", "mix", "noise", "silence"])
LABELS = np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0, 0], [0, 0]], bool)
SCORES = np.array(
    [[0.9, 0.1], [0.4, 0.6], [0.2, 0.3], [0.6, 0.4], [0.7, 0.1], [0.1, 0.1]], np.float32
)


def source(name, *, seed=0, mixtures=60):
    """Scores of about 0.7 beside 0.3 for one label alone, of 0.4 beside 0.1 in mixtures."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((200 + mixtures + 40, 3), bool)
    labels[np.arange(200), rng.integers(3, size=200)] = True
    labels[200 : 200 + mixtures] = ~np.eye(3, dtype=bool)[rng.integers(3, size=mixtures)]
    kind = np.repeat(["note", "mix", "noise"], [200, mixtures, 40])
    alone = (kind != "mix")[:, None]
    level = np.where(labels, np.where(alone, 0.7, 0.4), np.where(alone, 0.3, 0.1))
    scores = level + rng.normal(0, 0.1, labels.shape)
    return SourceScores(name, scores.clip(0, 0.99).astype(np.float32), labels, kind)


def test_the_figures_of_one_source():
    found = measure(SourceScores("a", SCORES, LABELS, KINDS), np.float32([0.5, 0.5]))
    # Of three notes one is right, one gets another label, one none; of the mixture one label is.
    assert found == {
        "macro_f1_single": pytest.approx((2 / 3 + 0) / 2),
        "macro_f1_mixture": pytest.approx((1 + 0) / 2),
        "wrong_single": pytest.approx(1 / 3),
        "nothing_single": pytest.approx(1 / 3),
        "quiet_without_label": 0.5,
    }


def test_what_a_source_has_no_windows_of_has_no_figure():
    one = SourceScores("a", SCORES[:3], LABELS[:3], KINDS[:3])
    found = measure(one, np.float32([0.5, 0.5]))
    assert (found["macro_f1_mixture"], found["quiet_without_label"]) == (None, None)


def test_more_for_mixtures_costs_wrong_labels_on_one_label():
    found = compare([source("a"), source("b", seed=1)], quiet=0.9, beta=0.8)
    now, mixed = found[str(Choice(0.8, 0.0))], found[str(Choice(0.8, 1.0))]
    assert mixed["macro_f1_mixture"] > now["macro_f1_mixture"]
    assert mixed["wrong_single"] > now["wrong_single"]
    assert found[OWN]["macro_f1_mixture"] >= mixed["macro_f1_mixture"] - 0.02


def test_the_rule_of_the_artefact_comes_first_and_none_comes_twice():
    found = compare([source("a"), source("b", seed=1)], quiet=0.9, beta=1.0, mixtures=0.5)
    assert next(iter(found)) == "F-1, 50% mixtures"
    assert len(found) == len(CHOICES) + 1
    other = compare([source("a"), source("b", seed=1)], quiet=0.9, beta=2.0)
    assert next(iter(other)) == "F-2, mixtures by number"
    assert len(other) == len(CHOICES) + 2


def test_thresholds_are_of_the_other_sources_and_at_least_the_least():
    usual, loud = source("a"), source("b", seed=1)
    loud = SourceScores("b", loud.scores / 4, loud.labels, loud.kind)
    found = compare([usual, loud], quiet=0.5)
    # A quarter of the scores never reaches the thresholds of the other source.
    assert found["F-1, mixtures by number"]["nothing_single"] > 0.45
    most = compare([usual, loud], quiet=0.5, least=[1.0, 1.0, 1.0])
    assert {row["nothing_single"] for row in most.values()} == {1.0}


def test_without_two_sources_that_have_mixtures_there_is_nothing_to_compare():
    assert compare([source("a")], quiet=0.9) == {}
    assert compare([source("a"), source("b", mixtures=0)], quiet=0.9) == {}
    assert compare([source("a"), source("b", mixtures=1)], quiet=0.9) != {}
