"""Cutting clips, and what counts for the clip as a whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.clips import clip_labels, window_spans
from service.inference.gateway import Prediction


@given(length=st.integers(1, 2_000), window=st.integers(1, 300), data=st.data())
def test_every_sample_of_a_clip_is_in_a_window(length, window, data):
    hop = data.draw(st.integers(1, window))
    spans = window_spans(length, window=window, hop=hop)
    assert set().union(*(range(start, end) for start, end in spans)) == set(range(length))
    assert [start for start, _ in spans] == [n * hop for n in range(len(spans))]
    assert all(end - start == window for start, end in spans[:-1])


@pytest.mark.parametrize(
    ("length", "spans"),
    [
        (10, [(0, 10)]),
        (11, [(0, 10), (5, 11)]),
        (15, [(0, 10), (5, 15)]),
        (3, [(0, 3)]),
        (20, [(0, 10), (5, 15), (10, 20)]),
    ],
)
def test_the_last_window_is_padded_only_when_samples_are_left(length, spans):
    assert window_spans(length, window=10, hop=5) == spans


def prediction(**scores):
    return Prediction(
        scores, tuple(name for name, score in scores.items() if score >= 0.5), 0.0, 0.0, "1"
    )


def test_the_labels_of_a_clip_are_those_of_its_windows_highest_mean_first():
    predictions = [
        prediction(horn=0.6, flute=0.1, oboe=0.1),
        prediction(flute=0.9, oboe=0.65, horn=0.2),
    ]
    assert clip_labels([(0, 10), (10, 20)], predictions, window=10) == ["flute", "horn", "oboe"]


def test_one_loud_mistake_does_not_come_before_what_plays_all_the_time():
    predictions = [prediction(horn=0.7, piano=0.0)] * 4 + [prediction(horn=0.4, piano=0.95)]
    assert clip_labels([(at, at + 10) for at in range(0, 50, 10)], predictions, window=10) == [
        "horn",
        "piano",
    ]


def test_a_last_window_that_is_mostly_padding_does_not_count():
    predictions = [prediction(horn=0.6), prediction(flute=0.9)]
    assert clip_labels([(0, 10), (10, 14)], predictions, window=10) == ["horn"]
    assert clip_labels([(0, 10), (10, 15)], predictions, window=10) == ["flute", "horn"]


def test_a_short_clip_has_the_labels_of_its_only_window():
    assert clip_labels([(0, 1)], [prediction(horn=0.6)], window=10) == ["horn"]
