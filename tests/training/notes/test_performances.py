"""Performances: what sounds when is known to the frame."""

import numpy as np
import pytest
import soundfile

from training.common.labels import LABELS, RATE
from training.notes.library import library_of_folder
from training.notes.mixtures import AUDIBLE_SECONDS, FRAME, WINDOW
from training.notes.performances import LENGTH, PARTS, SECONDS, perform


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    for label, hertz in (("flute", 600), ("cello", 150), ("horn", 300), ("oboe", 500)):
        (folder / "here" / label).mkdir(parents=True)
        tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(3 * RATE) / RATE)
        soundfile.write(folder / "here" / label / "note.wav", tone, RATE)
    return library_of_folder(folder / "here", folder / "cache")


@pytest.fixture(scope="module")
def played(library):
    return perform(library, np.random.default_rng(1))


def test_a_performance_has_a_few_parts_with_rests_between_phrases(played):
    assert played.samples.shape == (LENGTH,)
    assert played.samples.dtype == np.float32
    assert np.abs(played.samples).max() == pytest.approx(0.5)
    on = [label for label in LABELS if played.intervals(label)]
    assert len(on) == PARTS
    for label in on:
        intervals = played.intervals(label)
        assert all(0 <= start < end <= SECONDS for start, end in intervals)
        rests = np.diff(np.ravel(intervals))[1::2]
        assert max(rests, default=0) > 2
        assert sum(end - start for start, end in intervals) < SECONDS - 6


def test_where_nothing_is_audible_it_is_silent(played):
    silent = ~played.audible.any(axis=1)
    frames = np.abs(played.samples).reshape(-1, FRAME).max(axis=1)
    assert silent.any()
    assert frames[silent].max() < 0.02
    assert frames[~silent].max() == pytest.approx(0.5)


def test_intervals_are_the_audible_frames(played):
    for label in LABELS:
        frames = np.zeros(len(played.audible), np.bool_)
        for start, end in played.intervals(label):
            frames[round(start * RATE / FRAME) : round(end * RATE / FRAME)] = True
        assert np.array_equal(frames, played.audible[:, LABELS.index(label)])


def test_a_window_has_the_labels_that_are_audible_for_long_enough(played):
    hop = 11_264
    labels = played.windows(hop)
    assert len(labels) == (LENGTH - WINDOW) // hop + 1
    for at, row in enumerate(labels):
        start, end = at * hop / RATE, at * hop / RATE + WINDOW // FRAME * FRAME / RATE
        for label, on in zip(LABELS, row, strict=True):
            sounding = sum(
                max(0.0, min(end, b) - max(start, a)) for a, b in played.intervals(label)
            )
            assert on == (sounding >= AUDIBLE_SECONDS - 1e-9)


def test_the_same_seed_plays_the_same(library, played):
    again = perform(library, np.random.default_rng(1))
    assert np.array_equal(again.samples, played.samples)
    assert not np.array_equal(perform(library, np.random.default_rng(2)).samples, played.samples)
