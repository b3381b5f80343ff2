"""The figures of events in report.html and report.md."""

import numpy as np
import pytest

from models.manifest import Label
from training.evaluation.event_scores import Span
from training.evaluation.recording_events import (
    Detected,
    ScoredRecording,
    measure_events,
    settings_of,
)
from training.reporting import events, markdown

LABELS = (Label(name="a<b", threshold=0.5), Label(name="horn", threshold=0.5))


def figures(late):
    scores = np.full((37, 2), 0.1, np.float32)
    scores[10 + late : 20 + late, 0] = 0.9
    recording = ScoredRecording(
        source="here",
        seconds=20.0,
        truth={"a<b": [Span(5.75, 10.75)]},
        scores=scores,
        labels=scores > 0.5,
        hop=500,
        window=2_000,
        rate=1_000,
    )
    found = measure_events([Detected(recording, LABELS)])
    return found | {"settings": settings_of(LABELS, [recording]), "pause_s": 1.0}


@pytest.mark.parametrize(
    ("late", "words"), [(1, "0.50 s too late"), (-1, "0.50 s too early"), (0, "0.00 s too late")]
)
def test_the_bias_of_onsets_is_said_in_words(late, words):
    (_, bias) = events.notes_of(figures(late))
    assert words in bias
    assert events.notes_of(figures(late))[0].startswith("1 recording of 1 source that")
    assert f"once {50 + 25 * late}% of the window" in bias


def test_a_report_has_a_row_for_each_label_and_each_kind_of_figure():
    page = events.section(figures(0))
    text = "\n".join(events.tables(figures(0), markdown.table))
    for row in (*events.KINDS, "macro-F1, windows", "horn"):
        assert f"| {row} |" in text
        assert row in page
    assert "a&lt;b" in page
    assert "<b" not in page.replace("<body", "")
    assert "fewer than 20 events to choose by" in page


def test_without_known_onsets_there_is_no_section():
    assert events.section(None) == ""


def test_without_a_match_nothing_is_said_of_onsets():
    found = figures(0) | {"onset_error": None}
    assert len(events.notes_of(found)) == 1
