"""The state of the terminal view, event by event."""

from dataclasses import replace

import numpy as np
import pytest

from service.cli.stream_state import AGES, HISTORY, MESSAGE_WINDOWS, StreamState, clock
from service.client.events import End, Lost, Reconnect, SourceWarn
from service.protocol import Age, Dropped, LabelEvent, Ready, Warn, Window

LABELS = ("violin", "cello")


def board(**options):
    fields = {"source": "a.wav", "rate": 1_000, "url": "http://h:1", "model": "toy"}
    made = StreamState(thresholds={"violin": 0.4, "cello": 0.5}, **{**fields, **options})
    made.record(
        Ready(
            stream="s",
            model="toy",
            version="3",
            labels=LABELS,
            window=2.0,
            hop=0.5,
            sample_rate=22_050,
        )
    )
    return made


def window(violin=0.9, cello=0.1, *, age=3.0):
    scores = {"violin": violin, "cello": cello}
    labels = tuple(
        name for name, threshold in (("violin", 0.4), ("cello", 0.5)) if scores[name] >= threshold
    )
    ages = Age(total=age, waiting=0, features=1, queue=1, model=1)
    return Window(
        start=0,
        end=2,
        start_sample=0,
        end_sample=2_000,
        scores=scores,
        labels=labels,
        version="3",
        age_ms=ages,
    )


def label_event(label, start, end=None):
    return LabelEvent(
        id=f"s-{label}",
        label=label,
        state="onset" if end is None else "offset",
        start=start,
        end=end,
        start_sample=round(1_000 * start),
        end_sample=end and round(1_000 * end),
        peak=0.9,
        mean=0.9,
        not_heard=0.0,
        source="s",
        version="3",
    )


def test_events_last_from_onset_to_offset():
    seen = board()
    seen.record(replace(window(), end=70.0))
    seen.record(label_event("cello\x1b[2J", 65.0))
    seen.record(label_event("violin", 5.0))
    assert seen.lasting() == "violin 1:05, cello\\u001b[2J 0:05"
    seen.record(label_event("violin", 5.0, 70.0))
    assert seen.lasting() == "cello\\u001b[2J 0:05"
    assert seen.summary().endswith("; 2 events")


def test_windows_are_counted_with_their_ages_and_shares():
    seen = board()
    for age in (1.0, 2.0, 9.0):
        seen.record(window(age=age))
    seen.record(window(violin=0.1, cello=0.8, age=9.0))
    assert seen.windows == 4
    assert seen.age_p50_ms == 5.5
    assert seen.now.labels == {"cello"}
    assert seen.summary() == "4 windows in 0:00, 0 dropped: violin 75%, cello 25%"


def test_the_version_shown_is_that_of_the_last_window():
    seen = board()
    assert seen.version == "3"
    seen.record(replace(window(), version="4"))
    assert seen.version == "4"


def test_a_drop_by_the_server_is_one_window_and_a_loss_here_as_many_as_begin_in_it():
    seen = board()
    seen.record(Dropped(from_sample=0, to_sample=2_000, reason="overload"))
    assert seen.dropped == 1
    seen.record(Lost(from_sample=500, to_sample=3_000))
    assert seen.dropped == 6
    assert seen.message == "dropped 2.5 s (client)"
    assert len(seen.history) == 6
    assert not seen.now.scores


def test_an_overflow_of_the_sound_card_is_shown_and_drops_no_window():
    seen = board()
    seen.record(Lost(from_sample=5, to_sample=5, reason="device"))
    assert seen.dropped == 0
    assert "sound card" in seen.message


def test_messages_are_cleared_after_a_while():
    seen = board()
    seen.record(Warn(kind="silence", detail="nothing to hear", from_sample=0))
    for _ in range(MESSAGE_WINDOWS):
        seen.record(window())
    assert seen.message == "nothing to hear"
    seen.record(window())
    assert not seen.message


def test_each_lost_connection_counts_once_however_many_attempts_it_takes():
    seen = board()
    for attempt in (1, 2, 3):
        seen.record(Reconnect(attempt=attempt, wait_s=0.1, detail="gone"))
    assert (seen.state, seen.reconnects) == ("reconnecting", 1)
    seen.record(End(reason="client ended", samples=0, windows=0, dropped=0, reconnects=1))
    assert seen.state == "ended"


def test_the_level_is_in_decibels_and_the_peak_falls_slowly():
    seen = board()
    seen.add_samples(np.full((500, 2), 0.1, np.float32))
    assert seen.level_db == pytest.approx(-20, abs=0.01)
    seen.add_samples(np.zeros(500, np.float32))
    assert seen.level_db == -90
    assert seen.peak_db == pytest.approx(-21.5, abs=0.01)
    assert seen.captured_s == 1.0


def test_a_stream_of_days_has_bounded_memory():
    seen = board()
    for _ in range(HISTORY + 10):
        seen.record(window())
    seen.record(Lost(from_sample=0, to_sample=10**9))
    assert len(seen.history) == HISTORY
    assert len(seen.ages_ms) == AGES


def test_kinds_of_warnings_stay_in_the_summary_each_once():
    seen = board()
    for kind in ("silence", "clipping", "silence"):
        seen.record(Warn(kind=kind, detail=f"about {kind}", from_sample=0))
        assert seen.message == f"about {kind}"
    seen.record(SourceWarn(kind="truncated", detail="half of it"))
    seen.record(window())
    expected = "1 windows in 0:00, 0 dropped: violin 100%; warnings: silence, clipping, truncated"
    assert seen.summary() == expected


def test_silence_has_a_summary_too():
    assert board().summary() == "0 windows in 0:00, 0 dropped"
    assert (clock(65.9), clock(7_200)) == ("1:05", "2:00:00")


def test_what_a_server_says_is_escaped():
    forged = "x\x1b[31m\x9b2J\u202e\nfalse"
    state = StreamState(
        source=forged, rate=1_000, url=forged, model="toy", thresholds={forged: 0.5}
    )
    said = replace(window(), scores={forged: 0.9}, labels=(forged,), version=forged)
    for event in (said, Warn(kind="clipping", detail=forged, from_sample=0)):
        state.record(event)
    (label,) = state.thresholds
    assert state.now.scores[label] == 0.9
    assert label in state.now.labels
    for shown in (state.source, state.url, state.version, state.message, state.summary(), label):
        assert r"x\u001b[31m\u009b2J\u202e\u000afalse" in shown
        assert shown.isprintable()
