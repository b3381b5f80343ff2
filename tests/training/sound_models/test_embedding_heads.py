"""Small models on embeddings, chosen by source left out."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.sound_models import embedding_heads
from training.sound_models.embedding_heads import (
    ALONE,
    DECAYS,
    FEW,
    FITS,
    NEVER,
    STRENGTHS,
    TRIVIAL,
    Choice,
    Material,
    choices,
    choose,
    fit_head,
)

NUMBERS = 8


def material(*, sources=3, recordings=2, windows=3, labels=2, spread=0.3, seed=0):
    """Each label has its own direction, each source its own offset; noise is around nothing."""
    rng = np.random.default_rng(seed)
    means, moved = rng.normal(0, 1, (labels, NUMBERS)), rng.normal(0, 0.2, (sources, NUMBERS))
    rows = np.array(
        [
            (label, source, take)
            for label in range(labels)
            for source in range(sources)
            for take in range(recordings)
            for _ in range(windows)
        ]
    )
    label, source, take = rows.T
    found = means[label] + moved[source] + rng.normal(0, spread, (len(rows), NUMBERS))
    return Material(
        found.astype(np.float32),
        label[:, None] == np.arange(labels),
        source,
        (label * sources + source) * recordings + take,
        rng.normal(0, 0.1, (40, NUMBERS)).astype(np.float32),
    )


ALL = [Choice("regression", 0.1), Choice("network", 1.0), Choice("prototypes")]


@pytest.mark.parametrize("choice", ALL, ids=lambda choice: choice.kind)
def test_every_head_learns_labels_and_that_noise_has_none(choice):
    known = material(windows=10)
    head = fit_head(choice, known, seed=1)
    scores = head.scores(known.found)
    assert (scores.argmax(axis=1) == known.truth.argmax(axis=1)).mean() > 0.95
    assert np.median(scores[known.truth]) > 0.5
    assert (head.scores(known.noise) < 0.5).mean() > 0.9


@pytest.mark.parametrize("choice", ALL, ids=lambda choice: choice.kind)
@pytest.mark.parametrize("labels", [1, 2])
def test_a_label_that_a_fold_has_no_recording_of_is_never_on(choice, labels):
    known = material(labels=labels)
    some = known.some(np.flatnonzero(~known.truth[:, 0]))
    if labels == 1:
        some = Material(known.found, np.zeros_like(known.truth), *(known.sources,) * 2, known.noise)
    scores = fit_head(choice, some, seed=1).scores(known.found)
    assert (scores[:, 0] < 0.5).all()


@pytest.mark.parametrize("choice", ALL, ids=lambda choice: choice.kind)
def test_a_label_that_is_always_on_is_learnt_beside_noise(choice):
    known = material(windows=10, spread=0.1)
    always = Material(
        known.found, np.ones_like(known.truth), known.sources, known.recordings, known.noise
    )
    head = fit_head(choice, always, seed=1)
    assert np.median(head.scores(known.found)) > 0.5
    assert np.median(head.scores(known.noise)) < 0.5


def test_each_recording_counts_the_same_in_a_prototype():
    short = material(recordings=1, sources=2, windows=1, spread=0.0)
    # The first recording is a hundred windows long.
    long = short.some(np.concatenate([np.zeros(99, np.int64), np.arange(len(short.found))]))
    ways = [embedding_heads._prototypes(one, one.all, 0.0, 1)[0] for one in (short, long)]
    ways = [way / np.linalg.norm(way, axis=0) for way in ways]
    np.testing.assert_allclose(*ways, atol=1e-6)


def test_each_recording_counts_the_same_also_where_a_label_is_on_in_a_part_of_it():
    rng = np.random.default_rng(3)
    on = rng.normal(0, 1, (2, NUMBERS))
    # Of two recordings the label is on in the first window, and in all of them.
    for windows in (1, 2, 50):
        found = np.concatenate([on[:1], np.zeros((windows - 1, NUMBERS)), np.tile(on[1], (9, 1))])
        truth = np.ones((len(found), 1), bool)
        truth[1:windows] = False
        recordings = np.repeat([0, 1], [windows, 9])
        one = Material(found, truth, recordings, recordings, np.zeros((4, NUMBERS), np.float32))
        way = embedding_heads._prototypes(one, one.all, 0.0, 1)[0][:, 0]
        expected = on.mean(axis=0)
        np.testing.assert_allclose(
            way / np.linalg.norm(way), expected / np.linalg.norm(expected), atol=1e-6
        )


def test_prototypes_are_the_same_however_many_labels_are_fitted_at_a_time(monkeypatch):
    known = material(labels=7, sources=2)
    whole = fit_head(Choice("prototypes"), known, seed=1).layers[0]
    for at_a_time in (1, 6, 7, 8):
        monkeypatch.setattr(embedding_heads, "BLOCK", at_a_time)
        for one, two in zip(whole, fit_head(Choice("prototypes"), known, 1).layers[0], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("choice", ALL, ids=lambda choice: choice.kind)
@pytest.mark.parametrize("spread", [0.0, 1e-8, 1e-5])
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_numbers_that_never_changed_in_the_training_decide_nothing_later(choice, spread, level):
    known, dead = material(windows=10), 200
    rng = np.random.default_rng(1)

    def beside(found, value):
        more = value + rng.normal(0, spread, (len(found), dead))
        return np.concatenate([found, more], axis=1).astype(np.float32)

    wider = Material(
        beside(known.found, level), known.truth, known.sources, known.recordings,
        beside(known.noise, level),
    )  # fmt: skip
    head = fit_head(choice, wider, seed=1)
    expected = head.scores(beside(known.found, level))
    later = beside(known.found, level)
    later[:, -dead // 15 :] += 0.01
    np.testing.assert_allclose(head.scores(later), expected, atol=1e-4)
    assert (expected.argmax(axis=1) == known.truth.argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize("choice", ALL, ids=lambda choice: choice.kind)
def test_embeddings_of_a_small_unit_are_learnt_as_well(choice):
    known, small = material(windows=10), 1e-9
    tiny = Material(
        known.found * small, known.truth, known.sources, known.recordings, known.noise * small
    )
    found = fit_head(choice, tiny, seed=1).scores(known.found * small)
    assert (found.argmax(axis=1) == known.truth.argmax(axis=1)).mean() > 0.95


def test_slopes_along_prototypes_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    on = rng.random((300, 3)) < [0.5, 0.1, 0.02]
    along = 3 * on + rng.normal(0, [0.3, 1, 3], on.shape)
    weight = rng.uniform(0.1, 2, 300)
    slopes, middles = embedding_heads._sigmoids(along, on, weight)
    for at in range(3):
        spread = along[:, at].std()
        model = LogisticRegression(C=1.0, tol=1e-8)
        model.fit(along[:, [at]] / spread, on[:, at], sample_weight=weight)
        assert slopes[at] * spread == pytest.approx(model.coef_[0, 0], abs=1e-3)
        assert middles[at] == pytest.approx(model.intercept_[0], abs=1e-3)


def test_prototypes_are_tried_up_to_three_recordings_of_a_label():
    for recordings, tried in ((FEW, True), (FEW + 1, False)):
        known = material(sources=1, recordings=recordings)
        assert known.fewest == recordings
        assert (Choice("prototypes") in choices(known)) is tried


def test_all_strengths_and_decays_are_tried():
    kinds = [(one.kind, one.setting) for one in choices(material(recordings=4))]
    assert kinds == [
        *(("regression", strength) for strength in STRENGTHS),
        *(("network", decay) for decay in DECAYS),
    ]


@pytest.mark.parametrize(
    ("labels", "count"), [(100, len(STRENGTHS)), (101, 4), (350, 2), (FITS, 1), (FITS + 1, 0)]
)
def test_of_more_labels_fewer_regressions_are_tried_and_of_very_many_prototypes(labels, count):
    one = material(sources=1, recordings=1, windows=1, labels=labels)
    tried = choices(one)
    assert sum(choice.kind == "regression" for choice in tried) == count
    assert ({choice.kind for choice in tried} == {"prototypes"}) is (count == 0)


@pytest.mark.parametrize("labels", [1, 100, 101, 234, 301, 351, 401, 600, 601, FITS])
def test_the_strength_taken_without_a_comparison_is_among_those_that_are_compared(labels):
    one = material(sources=1, recordings=1, windows=1, labels=labels)
    assert Choice("regression", ALONE) in choices(one)


def spread_out(*, labels_of, windows=4):
    """Sources with the labels that `labels_of` names, which directions of their own tell apart."""
    rng, labels = np.random.default_rng(0), sorted({*"".join(labels_of)})
    source = np.repeat(np.arange(len(labels_of)), windows)
    truth = np.array([[name in labels_of[at] for name in labels] for at in source])
    means = 2 * rng.normal(0, 1, (len(labels), NUMBERS))
    found = truth @ means + rng.normal(0, 0.2, (len(source), NUMBERS))
    noise = rng.normal(0, 0.1, (40, NUMBERS)).astype(np.float32)
    return Material(found.astype(np.float32), truth, source, source, noise)


def folds_with(known, label):
    return sum(bool(known.truth[test, label].any()) for _, test in embedding_heads._folds(known))


@pytest.mark.parametrize("count", [2, 4, 5, 6, 10, 23])
def test_every_row_is_left_out_once_with_its_whole_source(count):
    known = spread_out(labels_of=["ab"[at % 2] for at in range(count)])
    folds = embedding_heads._folds(known)
    assert len(folds) == min(embedding_heads.FOLDS, count)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(known.found)))
    for train, test in folds:
        assert not {*known.sources[train]} & {*known.sources[test]}
        assert len(train) + len(test) == len(known.found)
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 4


def test_augmented_copies_are_learnt_from_and_not_measured():
    known = material(recordings=2)
    rows = np.tile(np.arange(len(known.found)), 4)
    copies = np.arange(len(rows)) >= len(known.found)
    # No copy is anything like its original.
    far = np.where(copies[:, None], 50, known.found[rows]).astype(np.float32)
    augmented = replace(known.some(rows), found=far, copies=copies)
    for train, test in embedding_heads._folds(augmented):
        assert copies[train].any()
        assert not copies[test].any()
        assert not {*augmented.sources[train]} & {*augmented.sources[test]}
    tests = [test for _, test in embedding_heads._folds(augmented)]
    assert sorted(np.concatenate(tests)) == list(range(len(known.found)))
    loss, alike = (choose(one, seed=1)[1][TRIVIAL] for one in (augmented, known))
    assert loss == pytest.approx(alike)
    assert replace(augmented, copies=None).some(rows[:3]).copies is None
    assert augmented.some(np.array([0, len(rows) - 1])).copies.tolist() == [False, True]


@pytest.mark.parametrize(
    "pair", [(at, at + step) for at in range(9) for step in (1, 5) if at + step < 10]
)
def test_two_sources_of_a_label_are_in_two_folds(pair):
    labels_of = ["c" if at in pair else "ab"[at % 2] for at in range(10)]
    known = spread_out(labels_of=labels_of)
    assert [folds_with(known, label) > 1 for label in range(3)] == [True] * 3


def test_sources_are_apart_also_where_each_has_several_labels():
    # Of eight labels each is in two of ten sources.
    labels_of = ["ab", "cd", "ef", "gh", "ac", "bd", "eg", "fh", "x", "x"]
    known = spread_out(labels_of=labels_of)
    assert [folds_with(known, label) for label in range(8)] == [2] * 8


def test_a_label_that_cannot_be_learnt_where_it_is_left_out_does_not_decide(monkeypatch):
    known = spread_out(labels_of=[*"cc", *"abababab"])
    fold = np.array([0, 0, *np.arange(8) % 4 + 1])[known.sources]
    folds = [(np.flatnonzero(fold != at), np.flatnonzero(fold == at)) for at in range(5)]
    monkeypatch.setattr(embedding_heads, "_folds", lambda _: folds)
    without = replace(known, truth=known.truth[:, :2])
    tried, expected = (choose(one, seed=1)[1] for one in (known, without))
    for name, loss in expected.items():
        if "network" not in name:
            assert tried[name] == pytest.approx(loss)
    assert TRIVIAL in expected


def test_the_best_on_sources_left_out_is_chosen_and_the_trivial_one_is_beside_it():
    choice, tried = choose(material(recordings=4), seed=1)
    assert list(tried)[-1] == TRIVIAL
    assert tried[str(choice)] == min(tried.values()) < tried[TRIVIAL]


def test_few_recordings_take_prototypes_where_these_are_better(monkeypatch):
    known = material(recordings=1, windows=1, sources=3)
    losses = {"prototypes": 0.1}
    monkeypatch.setattr(embedding_heads, "_left_out", lambda one, *_: losses.get(one.kind, 0.2))
    assert choose(known, seed=1)[0] == Choice("prototypes")
    losses["prototypes"] = 0.3
    assert choose(known, seed=1)[0].kind == "regression"


def test_with_one_source_prototypes_are_taken_for_few_recordings_only():
    for recordings, expected in ((1, Choice("prototypes")), (4, Choice("regression", ALONE))):
        assert choose(material(sources=1, recordings=recordings), seed=1) == (expected, {})


def test_labels_of_one_source_each_compare_nothing():
    known = material(sources=2, recordings=1)
    apart = known.some(np.flatnonzero(known.truth[:, 0] == (known.sources == 0)))
    assert len(np.unique(apart.sources)) == 2
    assert choose(apart, seed=1) == (Choice("prototypes"), {})


def test_a_label_of_one_source_does_not_decide(monkeypatch):
    known = material(labels=3, recordings=4)
    some = known.some(np.flatnonzero(~known.truth[:, 2] | (known.sources == 0)))
    judged = []
    monkeypatch.setattr(
        embedding_heads, "_left_out", lambda *words: judged.append(words[3].tolist()) or 0.1
    )
    choose(some, seed=1)
    assert all(one == [True, True, False] for one in judged)
    assert judged


def test_more_labels_than_are_compared_are_learnt_from_prototypes():
    many = material(sources=2, recordings=1, windows=1, labels=FITS + 1, spread=0.05)
    head = fit_head(choose(many.some(np.flatnonzero(many.sources == 0)), 1)[0], many, seed=1)
    ((weights, bias),) = head.layers
    assert weights.shape == (NUMBERS, FITS + 1)
    assert (bias > NEVER).all()
    assert np.isfinite(head.scores(many.found)).all()
