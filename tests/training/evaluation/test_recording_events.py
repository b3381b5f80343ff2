"""Events of scored recordings: found as in serving, tuned by label, measured beside a baseline."""

import numpy as np
import pytest

from common.strict_json import to_json
from models.events import DEFAULTS, OFF_SHARE
from models.manifest import Label
from training.evaluation.event_scores import Span
from training.evaluation.recording_events import (
    LEAST_EVENTS,
    Detected,
    ScoredRecording,
    calibrate,
    detect,
    measure_events,
    settings_of,
)

RATE, WINDOW, HOP = 1_000, 2_000, 500
FLUTE, HORN = Label(name="flute", threshold=0.5), Label(name="horn", threshold=0.5)
SECONDS = 20


def recording(*truth, source="here", scores=None, late=0.0, label=0, dip=0.0):
    """Scores of the flute (or the horn): high where half of a window is sound of it.

    late: seconds by which the scores are behind. dip: of the score in the middle of an event.
    """
    count = (SECONDS * RATE - WINDOW) // HOP + 1
    starts = np.arange(count) * HOP / RATE
    sounding = sum(
        np.clip(np.minimum(starts + 2, end) - np.maximum(starts, start), 0, 2)
        for start, end in truth
    )
    on = sounding + np.zeros(count) >= 1 - 1e-9
    table = np.zeros((count, 2), np.float32)
    table[:, label] = np.where(np.roll(on, round(late * RATE / HOP)), 0.9, 0.1)
    for start, end in truth if dip else ():
        table[np.abs(starts + 1 - (start + end) / 2) < 0.6, label] = dip
    labels = np.zeros((count, 2), np.bool_)
    labels[:, label] = on
    name = ("flute", "horn")[label]
    return ScoredRecording(
        source=source,
        seconds=SECONDS,
        truth={name: [Span(*each) for each in truth]} if truth else {},
        scores=table if scores is None else np.asarray(scores, np.float32),
        labels=labels,
        hop=HOP,
        window=WINDOW,
        rate=RATE,
    )


def test_events_are_found_where_half_of_a_window_is_sound():
    found = detect(recording((4.0, 8.0), (13.0, 16.0)), [FLUTE, HORN])
    assert set(found) == {"flute"}
    (first, second) = found["flute"]
    assert first == pytest.approx((4.0, 8.0), abs=0.25)
    assert second == pytest.approx((13.0, 16.0), abs=0.25)


def test_a_recording_of_nothing_has_no_events():
    assert detect(recording(), [FLUTE, HORN]) == {}


def many(count):
    """Recordings of two events each, `count` events in all, with one low window between them."""
    events = [(3.0, 7.0), (8.0, 12.0)]
    shares = [events] * (count // 2) + [events[:1]] * (count % 2)
    recordings = [recording(*each, source=str(n)) for n, each in enumerate(shares)]
    for one in recordings[: count // 2]:
        one.scores[13, 0] = 0.1
    return recordings


def test_a_label_whose_pauses_are_short_gets_a_short_gap():
    flute, horn = calibrate(many(LEAST_EVENTS), [FLUTE, HORN])
    assert flute.events == {"gap": 0.0}
    assert horn.events == {}


def test_too_few_events_keep_the_defaults():
    recordings = many(LEAST_EVENTS - 1)
    labels = calibrate(recordings, [FLUTE, HORN])
    assert [label.events for label in labels] == [{}, {}]
    found = settings_of(labels, recordings)["flute"]
    assert found["why"] == f"defaults: fewer than {LEAST_EVENTS} events to choose by"
    assert (found["off"], found["gap"]) == (OFF_SHARE * 0.5, DEFAULTS["gap"])
    enough = many(LEAST_EVENTS)
    found = settings_of(calibrate(enough, [FLUTE, HORN]), enough)["flute"]
    assert (found["why"], found["gap"]) == ("calibrated", 0.0)


def test_what_no_setting_makes_better_keeps_the_defaults():
    recordings = [recording((3.0, 7.0), (12.0, 16.0)) for _ in range(LEAST_EVENTS)]
    (flute, _) = labels = calibrate(recordings, [FLUTE, HORN])
    assert flute.events == {}
    why = settings_of(labels, recordings)["flute"]["why"]
    assert why == "defaults: nothing tried was better"


def test_a_label_whose_score_sags_within_an_event_gets_a_lower_off():
    recordings = [recording((3.0, 16.0), dip=0.3) for _ in range(LEAST_EVENTS)]
    for one in recordings:
        one.scores[10:16, 0] = 0.3
    (flute, _) = calibrate(recordings, [FLUTE, HORN])
    assert flute.events == {"off": 0.25}


def test_a_label_with_false_flickers_gets_a_shortest_length():
    recordings = [recording((8.0, 16.0)) for _ in range(LEAST_EVENTS)]
    for one in recordings:
        one.scores[5, 0] = 0.9
    (flute, _) = calibrate(recordings, [FLUTE, HORN])
    assert flute.events == {"min_length": 1.0}
    assert [len(detect(one, [flute, HORN])["flute"]) for one in recordings[:1]] == [1]


def test_a_label_that_is_heard_early_and_steeply_gets_a_rise():
    # Scores that are high where a quarter of a window is sound: half a second early, and late.
    recordings = [recording((4.0, 8.0), (12.0, 16.0)) for _ in range(LEAST_EVENTS)]
    for one in recordings:
        on = one.scores[:, 0] > 0.5
        one.scores[:, 0] = np.where(on | np.roll(on, 1) | np.roll(on, -1), 0.9, 0.1)
    (flute, _) = calibrate(recordings, [FLUTE, HORN])
    assert flute.events == {"rise": 1.0}
    (first, _) = detect(recordings[0], [flute, HORN])["flute"]
    assert first == pytest.approx((4.0, 8.0), abs=0.25)


def test_earlier_settings_are_forgotten():
    before = Label(name="flute", threshold=0.5, events={"gap": 2.0})
    assert calibrate(many(2), [before, HORN])[0].events == {}


def test_figures_are_beside_windows_onsets_defaults_and_a_baseline():
    recordings = many(LEAST_EVENTS)
    labels = tuple(calibrate(recordings, [FLUTE, HORN]))
    found = measure_events([Detected(one, labels) for one in recordings])
    assert (found["recordings"], found["sources"], found["hop_s"]) == (10, 10, 0.5)
    assert found["macro_f1"] == found["macro_f1_onset"] == {"0.25": 1.0, "0.5": 1.0, "1": 1.0}
    assert 0.9 < found["macro_f1_windows"] < 1.0
    # One event of 20 s is none of 4 s; by default the two are one, which ends too late.
    assert set(found["macro_f1_baseline"].values()) == {0.0}
    assert set(found["macro_f1_defaults"].values()) == {0.0}
    flute, horn = found["labels"]["flute"], found["labels"]["horn"]
    assert (flute["events"], flute["predicted"]) == (20, 20)
    assert flute["precision"] == flute["recall"] == {"0.25": 1.0, "0.5": 1.0, "1": 1.0}
    assert (horn["f1"]["1"], horn["f1_windows"], horn["onset_error"]) == (None, None, None)
    to_json(found)


def test_the_baseline_is_right_where_a_label_lasts_all_along():
    found = measure_events([Detected(recording((0.0, 20.0)), (FLUTE, HORN))])
    assert found["macro_f1_baseline"]["0.25"] == 1.0


@pytest.mark.parametrize(("late", "share"), [(0.0, 0.5), (0.5, 0.75), (-0.5, 0.25)])
def test_the_error_of_onsets_tells_how_much_of_a_window_a_model_needs(late, share):
    recordings = [recording((5.0 + n / 8, 12.0), late=late) for n in range(4)]
    error = measure_events([Detected(one, (FLUTE, HORN)) for one in recordings])["onset_error"]
    assert error["count"] == 4
    assert error["median"] == pytest.approx(late, abs=0.13)
    assert error["share"] == pytest.approx(share, abs=0.07)
    assert error["lower"] <= error["median"] <= error["upper"]


def test_a_label_that_is_told_where_nothing_sounds_is_a_false_event():
    scores = np.full((37, 2), 0.9)
    found = measure_events(
        [
            Detected(recording(scores=scores), (FLUTE, HORN)),
            Detected(recording((0.0, 20.0)), (FLUTE, HORN)),
        ]
    )
    flute = found["labels"]["flute"]
    assert (flute["events"], flute["predicted"], flute["precision"]["1"]) == (1, 2, 0.5)
    assert found["labels"]["horn"]["predicted"] == 1
    # Of three events that were told one is right; only the micro-F1 knows of the horn's.
    assert found["micro_f1"]["1"] == 0.5
    assert found["macro_f1"]["1"] == pytest.approx(2 / 3)
