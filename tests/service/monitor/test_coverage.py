"""Every millisecond of a source has one state, and each minute has sixty thousand."""

from hypothesis import given
from hypothesis import strategies as st

from service.archive.records import MINUTE_MS, MinuteRecord
from service.monitor.coverage import MAX_MINUTES, Coverage

RATE = 8_000
BEGIN = 1_000_000 * MINUTE_MS
SECOND = RATE


def total(minute):
    parts = (minute.heard_ms, minute.silent_ms, minute.clipped_ms, minute.not_connected_ms)
    return sum(parts) + sum(minute.dropped_ms.values())


def heard(coverage, *seconds, level="heard"):
    """Capture up to the last second, and answer windows of 2 s that begin at these seconds."""
    coverage.captured((seconds[-1] + 2) * SECOND, level)
    for second in seconds:
        coverage.answered(second * SECOND, (second + 2) * SECOND)


def test_what_is_before_the_beginning_of_a_minute_is_not_connected():
    coverage = Coverage("a", BEGIN + 15_000)
    coverage.connect(BEGIN + 20_000, sample_rate=RATE)
    heard(coverage, *range(30))
    coverage.disconnect(31 * SECOND)
    assert coverage.finish(BEGIN + 51_000) == [
        MinuteRecord(source="a", minute_ms=BEGIN, heard_ms=31_000, not_connected_ms=29_000)
    ]


def test_a_minute_is_told_when_it_is_over_and_once():
    coverage = Coverage("a", BEGIN)
    coverage.connect(BEGIN, sample_rate=RATE)
    heard(coverage, *range(57))
    assert coverage.take() == []
    heard(coverage, 58)
    assert coverage.take() == [MinuteRecord(source="a", minute_ms=BEGIN, heard_ms=60_000)]
    assert coverage.take() == []


def test_a_dropped_window_counts_as_far_as_no_other_answers_for_its_sound():
    coverage = Coverage("a", BEGIN)
    coverage.connect(BEGIN, sample_rate=RATE)
    heard(coverage, 0, 1)
    coverage.dropped(4 * SECOND, "overload")
    coverage.dropped(5 * SECOND, "overload")
    coverage.dropped(6 * SECOND, "late")
    heard(coverage, 5)
    coverage.disconnect(7 * SECOND)
    (minute,) = coverage.finish(BEGIN + MINUTE_MS)
    assert minute.dropped_ms == {"overload": 2_000}
    assert minute.heard_ms == 3_000 + 2_000


def test_what_fills_no_window_is_the_tail():
    coverage = Coverage("a", BEGIN)
    coverage.connect(BEGIN, sample_rate=RATE)
    heard(coverage, 0)
    coverage.captured(3 * SECOND, "heard")
    coverage.disconnect(3 * SECOND)
    (minute,) = coverage.finish(BEGIN)
    assert (minute.heard_ms, minute.dropped_ms) == (2_000, {"tail": 1_000})
    assert minute.not_connected_ms == 57_000


def test_silence_and_clipping_are_told_where_they_were():
    coverage = Coverage("a", BEGIN)
    coverage.connect(BEGIN, sample_rate=RATE)
    for end, level in ((3, "silent"), (4, "clipped"), (10, "heard")):
        coverage.captured(end * SECOND, level)
    for second in range(9):
        coverage.answered(second * SECOND, (second + 2) * SECOND)
    coverage.disconnect(10 * SECOND)
    (minute,) = coverage.finish(BEGIN)
    assert (minute.silent_ms, minute.clipped_ms, minute.heard_ms) == (3_000, 1_000, 6_000)


def test_a_clock_that_is_set_back_counts_nothing_twice():
    coverage = Coverage("a", BEGIN)
    coverage.connect(BEGIN, sample_rate=RATE)
    heard(coverage, *range(28))
    coverage.disconnect(29 * SECOND)
    coverage.connect(BEGIN + 10_000, sample_rate=RATE)
    heard(coverage, *range(49))
    (minute,) = coverage.take()
    assert (total(minute), minute.heard_ms) == (60_000, 60_000)


STEPS = st.one_of(
    st.tuples(st.just("answered"), st.integers(0, 90)),
    st.tuples(st.just("dropped"), st.integers(0, 90)),
    st.tuples(st.just("captured"), st.integers(0, 90), st.sampled_from(["heard", "silent"])),
    st.tuples(st.just("connect"), st.integers(-90, 300)),
    st.tuples(st.just("disconnect"), st.integers(0, 90)),
    st.tuples(st.just("advance"), st.integers(-90, 300)),
)


@given(st.integers(0, MINUTE_MS - 1), st.lists(STEPS, max_size=40))
def test_whatever_happens_minutes_follow_each_other_and_are_full(begin, steps):
    coverage = Coverage("a", BEGIN + begin)
    coverage.connect(BEGIN + begin, sample_rate=RATE)
    connected = True
    for name, second, *level in steps:
        match name:
            case "answered" if connected:
                coverage.answered(second * SECOND, (second + 2) * SECOND)
            case "dropped" if connected:
                coverage.dropped(second * SECOND, "late")
            case "captured" if connected:
                coverage.captured(second * SECOND, level[0])
            case "connect":
                coverage.connect(BEGIN + second * 1_000, sample_rate=RATE)
                connected = True
            case "disconnect":
                coverage.disconnect(second * SECOND)
                connected = False
            case "advance":
                coverage.advance(BEGIN + second * 1_000)
    minutes = coverage.finish(BEGIN + 400_000)
    assert [total(minute) for minute in minutes] == [60_000] * len(minutes)
    starts = [minute.minute_ms for minute in minutes]
    assert starts == list(range(BEGIN, BEGIN + len(minutes) * MINUTE_MS, MINUTE_MS))


def test_a_clock_that_is_set_by_years_leaves_a_gap():
    clock = MAX_MINUTES * MINUTE_MS
    coverage = Coverage("hall", 90_000)
    coverage.advance(60_000 + clock)
    assert len(coverage.take()) == MAX_MINUTES
    coverage.advance(60_000 + 3 * clock + 30_000)
    (before,) = coverage.take()
    (after,) = coverage.finish(60_000 + 3 * clock + 40_000)
    assert (before.minute_ms, after.minute_ms) == (60_000 + clock, 60_000 + 3 * clock)
    assert total(before) == total(after) == 60_000
