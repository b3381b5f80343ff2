"""Calibration: noise stays silent first, then F-beta, every source with the same weight."""

import numpy as np
import pytest

from training.evaluation.thresholds import calibrate


def columns(*parts):
    """Return (scores, labels, source, kind) from parts (scores, labels, source, kind)."""
    scores, labels, source, kind = zip(*parts, strict=True)
    sizes = [len(s) for s in scores]
    return (
        np.concatenate(scores).astype(np.float32),
        np.concatenate(labels).astype(bool),
        {"source": np.repeat(source, sizes), "kind": np.repeat(kind, sizes)},
    )


def test_the_threshold_lies_between_what_is_there_and_what_is_not():
    scores, labels, rest = columns(
        ([[0.8], [0.7]], [[1], [1]], "a", "note"), ([[0.3], [0.1]], [[0], [0]], "a", "note")
    )
    assert 0.3 < calibrate(scores, labels, **rest)[0] <= 0.7


def test_noise_gets_no_label_even_if_f1_would_like_it():
    rng = np.random.default_rng(0)
    noise = rng.random((1000, 2)) * [0.9, 0.2]
    scores, labels, rest = columns(
        (np.full((50, 2), 0.5), np.ones((50, 2)), "a", "note"),
        (noise, np.zeros((1000, 2)), "a", "noise"),
    )
    thresholds = calibrate(scores, labels, **rest, quiet=0.99)
    assert np.mean((noise.astype(np.float32) >= thresholds).any(axis=1)) <= 0.01
    assert thresholds[1] <= 0.5, "a label that noise does not touch keeps its best threshold"


def test_a_label_on_recorded_background_is_false_even_where_none_must_stay_silent():
    there = ([[0.6]] * 10, [[1]] * 10, "a", "solo")
    # The quietest window alone bounds the threshold where none must stay without a label.
    others = [[0.1]] + [[0.5]] * 20
    false, made = ((others, [[0]] * 21, "a", kind) for kind in ("background", "noise"))
    scores, labels, rest = columns(there, false)
    assert 0.5 < calibrate(scores, labels, **rest, quiet=0)[0] <= 0.6
    scores, labels, rest = columns(there, made)
    assert calibrate(scores, labels, **rest, quiet=0)[0] <= 0.5
    few = columns(([[0.6]] * 10, [[1]] * 10, "a", "solo"), ([[0.9]], [[0]], "a", "background"))
    assert calibrate(*few[:2], **few[2], quiet=1)[0] > 0.9


def test_every_source_counts_the_same():
    many = ([[0.4]] * 900 + [[0.3]] * 900, [[1]] * 900 + [[0]] * 900, "many", "note")
    few = ([[0.8]] * 5 + [[0.6]] * 15, [[1]] * 5 + [[0]] * 15, "few", "note")
    alone = calibrate(*columns(many)[:2], **columns(many)[2])
    both = calibrate(*columns(many, few)[:2], **columns(many, few)[2])
    assert 0.3 < alone[0] <= 0.4
    scores, labels, rest = columns(many, few)
    pooled = calibrate(scores, labels, source=np.full(len(scores), "one"), kind=rest["kind"])
    assert pooled[0] == pytest.approx(alone[0])
    assert both[0] == pytest.approx(alone[0])


def test_a_smaller_beta_would_rather_miss_than_be_wrong():
    rng = np.random.default_rng(1)
    there, absent = rng.normal(0.6, 0.15, (400, 1)), rng.normal(0.4, 0.15, (400, 1))
    scores, labels, rest = columns(
        (there, np.ones((400, 1)), "a", "note"), (absent, np.zeros((400, 1)), "a", "note")
    )
    careful, even, bold = (
        calibrate(scores, labels, **rest, beta=beta)[0] for beta in (0.5, 1.0, 2.0)
    )
    assert careful > even > bold


def test_a_label_nobody_plays_gets_one_half():
    scores, labels, rest = columns(([[0.2, 0.9]], [[0, 1]], "a", "note"))
    assert calibrate(scores, labels, **rest)[0] == 0.5


def test_thresholds_stay_between_0_and_1_whatever_the_noise_scores():
    scores, labels, rest = columns(
        ([[1.0]], [[1]], "a", "note"), ([[1.0]] * 200, [[0]] * 200, "a", "noise")
    )
    assert 0 <= calibrate(scores, labels, **rest)[0] <= 1


def test_mixtures_count_as_much_as_they_are_told_to():
    # Alone, the label scores 0.8 and its absence up to 0.6; in mixtures it scores 0.3.
    many, few = np.ones((900, 2)), np.ones((30, 2))
    single = (many * [0.8, 0.9], many * [1, 0], "a", "solo")
    absent = (many * [0.6, 0.9], many * [0, 1], "a", "solo")
    mixed = (few * [0.3, 0.9], few, "a", "mix")
    scores, labels, rest = columns(single, absent, mixed)
    by_number, half, all_of_it = (
        calibrate(scores, labels, **rest, mixtures=share)[0] for share in (0.0, 0.5, 1.0)
    )
    assert 0.6 < by_number <= 0.8
    assert half <= 0.3
    assert all_of_it <= 0.3


def test_a_label_that_counts_in_no_window_gets_the_default():
    alone = ([[0.8, 0.1, 0.1]] * 9, [[1, 0, 0]] * 9, "a", "note")
    mixed = ([[0.6, 0.7, 0.7]] * 9, [[0, 1, 1]] * 9, "a", "mix")
    scores, labels, rest = columns(alone, mixed)
    assert calibrate(scores, labels, **rest, mixtures=1.0)[0] == 0.5
    assert calibrate(scores, labels, **rest, mixtures=0.5)[0] > 0.6
