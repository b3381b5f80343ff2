"""What is counted of a stream."""

from dataclasses import fields

import pytest

from service import protocol
from service.metrics.metrics import Metrics
from service.metrics.totals import Totals
from service.streaming.accounting import SampleAccount
from service.streaming.stream_counter import STAGES, StreamCounter

RATE = 1_000
AGE = protocol.Age(total=40.0, waiting=1.0, features=2.0, queue=3.0, model=4.0)


class Stream:
    def __init__(self):
        self.metrics, self.account = Metrics(), SampleAccount()
        self.counter = StreamCounter(self.metrics, self.account, model="toy", sample_rate=RATE)
        self.sent = 0

    def receive(self, seconds, *, silent=False):
        first, self.sent = self.sent, self.sent + round(seconds * RATE)
        self.account.receive(first, self.sent, silent=silent)

    def answer(self, start, end):
        self.account.answer(round(start * RATE), round(end * RATE))
        self.counter.sent(
            protocol.Window(
                start=start,
                end=end,
                start_sample=round(start * RATE),
                end_sample=round(end * RATE),
                scores={},
                labels=(),
                version="1",
                age_ms=AGE,
            )
        )

    def drop(self, start, end, reason="late"):
        start, end = round(start * RATE), round(end * RATE)
        if reason != "gap":
            self.account.drop(start, end)
        self.counter.sent(protocol.Dropped(from_sample=start, to_sample=end, reason=reason))

    def total(self, name):
        found = Totals(self.metrics).read()[name]
        return {"/".join(labels): values[0] for labels, values in found.items() if values[0]}

    @property
    def coverage(self):
        return pytest.approx(self.total("timbre_coverage_seconds_total"))


def test_windows_and_drops_are_counted_when_they_are_sent():
    stream = Stream()
    stream.receive(4)
    stream.answer(0, 2)
    stream.drop(1, 3)
    stream.drop(2, 4, "overload")
    assert stream.total("timbre_windows_total") == {"toy": 1}
    assert stream.total("timbre_dropped_windows_total") == {"toy/late": 1, "toy/overload": 1}


def test_the_age_of_a_window_is_counted_by_stage_in_seconds():
    assert tuple(field.name for field in fields(protocol.Age)) == STAGES
    stream = Stream()
    stream.receive(2)
    stream.answer(0, 2)
    ages = Totals(stream.metrics).read()["timbre_window_age_seconds"]
    sums = {stage: ages["toy", stage][-1] for stage in STAGES}
    assert sums == {"total": 0.04, "waiting": 0.001, "features": 0.002, "queue": 0.003} | {
        "model": 0.004
    }


def test_all_sound_that_was_received_is_counted_in_one_state():
    stream = Stream()
    stream.receive(2.5)
    stream.receive(1, silent=True)
    stream.receive(4)
    stream.answer(0, 2)
    stream.answer(1, 3)
    assert stream.coverage == {"heard": 2.5, "silent": 0.5}
    stream.drop(2, 4)
    stream.drop(3, 5)
    stream.answer(4, 6)
    # Half a second of silence was dropped.
    assert stream.coverage == {"heard": 4.5, "silent": 0.5, "dropped": 1}
    stream.drop(5, 7)
    assert stream.coverage == {"heard": 4.5, "silent": 0.5, "dropped": 1}
    stream.counter.close()
    assert stream.coverage == {"heard": 4.5, "silent": 0.5, "dropped": 2, "unanswered": 0.5}
    assert sum(stream.total("timbre_coverage_seconds_total").values()) == 7.5


def test_sound_that_never_came_is_missing():
    stream = Stream()
    stream.drop(2, 5, "gap")
    stream.counter.close()
    assert stream.coverage == {"missing": 3}
    assert stream.total("timbre_dropped_windows_total") == {"toy/gap": 1}


def test_an_event_is_counted_at_its_onset_only():
    stream = Stream()
    event = {"id": "s-1", "label": "tone", "start": 0.0, "start_sample": 0, "peak": 1.0}
    event |= {"mean": 1.0, "not_heard": 0.0, "source": "s", "version": "1"}
    onset = protocol.LabelEvent(state="onset", end=None, end_sample=None, **event)
    offset = protocol.LabelEvent(state="offset", end=2.0, end_sample=2_000, **event)
    for message in (onset, offset):
        stream.counter.began(message)
    assert stream.total("timbre_events_total") == {"toy/tone": 1}
