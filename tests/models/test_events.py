"""Events of scored windows: hysteresis, gaps, lengths, drops, on the clock of the samples."""

import itertools
from statistics import fmean

import pytest

from common.errors import ArtefactError, Unprocessable
from models.events import (
    DEFAULTS,
    HIGHEST,
    MAX_NOT_HEARD_S,
    EventDetector,
    check_settings,
    complete,
)
from models.manifest import Label

RATE, WINDOW, HOP = 1_000, 2_000, 500
FLUTE = Label(name="flute", threshold=0.5)
HORN = Label(name="horn", threshold=0.5)


def detector(settings=None, *, labels=(FLUTE, HORN), hop=HOP):
    return EventDetector(labels, settings or {"*": {"gap": 0.0}}, hop=hop, sample_rate=RATE)


def windows(scores, *, label="flute", at=0, hop=HOP):
    """A window for each score; None: it was dropped."""
    spans = [(at + hop * n, at + hop * n + WINDOW, score) for n, score in enumerate(scores)]
    return [(start, end, {label: score}) for start, end, score in spans if score is not None]


def run(scores, settings=None, **options):
    found = detector(settings, hop=options.get("hop", HOP))
    told = [event for window in windows(scores, **options) for event in found.feed(*window)]
    return told + found.finish()


def ended(events):
    return [(each.label, each.start, each.end) for each in events if each.state == "offset"]


def test_an_event_is_told_at_its_onset_and_at_its_offset():
    onset, offset = run([0.1, 0.6, 0.9, 0.2])
    assert (onset.state, onset.start, onset.end, onset.peak) == ("onset", 1_250, None, 0.6)
    assert (offset.state, offset.start, offset.end, offset.peak) == ("offset", 1_250, 2_250, 0.9)
    assert (onset.number, offset.number, offset.mean) == (1, 1, pytest.approx(0.75))


def test_the_first_window_speaks_for_the_beginning_and_the_last_for_the_end():
    assert ended(run([0.9, 0.9, 0.9])) == [("flute", 0, 3_000)]
    assert ended(run([0.9])) == [("flute", 0, 2_000)]


@pytest.mark.parametrize("hop", [100, 250, 500, 999, 2_000])
def test_where_the_score_crosses_the_threshold_is_exact_to_half_a_hop(hop):
    for begin in range(3_000, 3_000 + hop, 37):
        end = begin + 5_000
        found = detector({"*": {"gap": 0.0, "off": 0.5}}, hop=hop)
        told = []
        for start in range(0, 14_000, hop):
            filled = min(start + WINDOW, end) - max(start, begin)
            told += found.feed(start, start + WINDOW, {"flute": max(0, filled) / WINDOW})
        ((_, onset, offset),) = ended(told)
        assert abs(onset - begin) <= (hop + 1) / 2
        assert abs(offset - end) <= (hop + 1) / 2


@pytest.mark.parametrize(("score", "events"), [(0.5, 1), (0.499999, 0)])
def test_an_event_begins_at_the_threshold_and_not_below_it(score, events):
    assert len(ended(run([0.1, score, 0.1]))) == events


@pytest.mark.parametrize(("low", "events"), [(0.4, 1), (0.399999, 2)])
def test_an_event_goes_on_until_the_score_is_below_off(low, events):
    assert len(ended(run([0.9, low, low, 0.9, 0.1]))) == events


@pytest.mark.parametrize(("gap", "events"), [(1.01, 1), (1.0, 2)])
def test_a_pause_shorter_than_the_gap_ends_no_event(gap, events):
    assert len(ended(run([0.9, 0.1, 0.1, 0.9], {"*": {"gap": gap}}))) == events


def test_an_event_ends_where_its_last_pause_began():
    told = run([0.9, 0.9, 0.1, 0.1, 0.1], {"*": {"gap": 1.0}})
    assert ended(told) == [("flute", 0, 1_750)]
    assert told[-1].mean == pytest.approx(0.9)


@pytest.mark.parametrize(("shortest", "events"), [(1.0, 1), (1.001, 0)])
def test_events_shorter_than_the_shortest_are_left_out(shortest, events):
    settings = {"*": {"gap": 0.0, "min_length": shortest}}
    assert len(ended(run([0.1, 0.9, 0.9, 0.1], settings))) == events


def test_an_onset_is_told_once_the_event_is_long_enough():
    found = detector({"flute": {"min_length": 1.0}})
    told = [found.feed(*window) for window in windows([0.1, 0.9, 0.9, 0.9])]
    assert [len(each) for each in told] == [0, 0, 1, 0]
    assert told[2][0].start == 1_250


def test_labels_do_not_disturb_each_other_and_come_in_the_order_of_time():
    found = detector()
    told = []
    for start, flute, horn in [(0, 0.9, 0.1), (500, 0.9, 0.9), (1_000, 0.1, 0.9), (1_500, 0, 0)]:
        told += found.feed(start, start + WINDOW, {"horn": horn, "flute": flute})
    assert ended(told) == [("flute", 0, 1_750), ("horn", 1_250, 2_250)]


def test_a_drop_inside_an_event_is_told_in_it():
    told = run([0.9, 0.9, None, None, 0.9, 0.1])
    assert ended(told) == [("flute", 0, 3_250)]
    assert told[-1].not_heard == 1_000


def test_a_drop_after_an_event_is_not_part_of_it():
    told = run([0.9, 0.9, None, None, 0.1])
    assert ended(told) == [("flute", 0, 1_750)]
    assert told[-1].not_heard == 0


@pytest.mark.parametrize("beyond", [0, 1])
def test_an_event_ends_where_too_much_is_not_heard(beyond):
    limit = round(MAX_NOT_HEARD_S * RATE)
    found = detector()
    told = found.feed(0, WINDOW, {"flute": 0.9})
    told += found.feed(WINDOW + limit + beyond, 2 * WINDOW + limit + beyond, {"flute": 0.9})
    told += found.finish()
    if beyond:
        assert ended(told) == [("flute", 0, WINDOW), ("flute", WINDOW + limit + 1, limit + 4_001)]
    else:
        assert ended(told) == [("flute", 0, 2 * WINDOW + limit)]
        assert told[-1].not_heard == limit


def test_an_event_is_told_to_have_ended_while_nothing_is_heard():
    limit = round(MAX_NOT_HEARD_S * RATE)
    found = detector()
    found.feed(0, WINDOW, {"flute": 0.9})
    assert found.skip(WINDOW + limit) == []
    assert ended(found.skip(WINDOW + limit + 1)) == [("flute", 0, WINDOW)]
    assert found.skip(WINDOW + 2 * limit) == []


def test_settings_of_the_request_come_before_those_of_the_artefact():
    label = Label(name="flute", threshold=0.5, events={"off": 0.3, "gap": 2.0})
    assert complete(label, {}) == {**DEFAULTS, "threshold": 0.5, "off": 0.3, "gap": 2.0}
    asked = {"*": {"gap": 3.0, "min_length": 1.0}, "flute": {"gap": 4.0}}
    assert complete(label, asked)["gap"] == 4.0
    assert complete(label, asked)["min_length"] == 1.0
    # An `off` that belongs to another threshold is not used.
    assert complete(label, {"flute": {"threshold": 0.2}})["off"] == pytest.approx(0.16)
    assert complete(label, {"flute": {"off": 0.9}})["off"] == 0.5


def test_another_version_brings_its_own_thresholds():
    found = detector()
    found.use([Label(name="flute", threshold=0.9)])
    assert found.feed(0, WINDOW, {"flute": 0.6, "horn": 0.9}) == []
    assert found.feed(500, WINDOW + 500, {"flute": 0.9}) != []


@pytest.mark.parametrize("setting", HIGHEST)
def test_settings_are_bounded_on_both_sides(setting):
    for value in (0, HIGHEST[setting]):
        assert check_settings({"flute": {setting: value}}, ["flute"])
    for value in (-0.001, HIGHEST[setting] + 0.001, float("nan"), True, "1", None, [1]):
        with pytest.raises(Unprocessable, match=f"event_settings.flute.{setting}"):
            check_settings({"flute": {setting: value}}, ["flute"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"oboe": {}}, "unknown label 'oboe'"),
        ({"flute": {"pause": 1}}, "event_settings.flute.pause is unknown"),
        ({"flute": 1}, "must be like"),
        ([], "must be like"),
        (None, "must be like"),
    ],
)
def test_what_is_no_setting_is_named(values, message):
    with pytest.raises(Unprocessable, match=message):
        check_settings(values, ["flute"])


@pytest.mark.parametrize("events", [{"off": 1.1}, {"gap": -1.0}, {"threshold": 0.5}])
def test_an_artefact_with_other_event_settings_is_refused(trio, events):
    from dataclasses import replace

    from models.manifest import Manifest

    manifest = Manifest.from_json((trio / "manifest.json").read_bytes())
    first, *others = manifest.labels
    good = replace(manifest, labels=(replace(first, events={"off": 0.1, "gap": 1.0}), *others))
    assert Manifest.from_json(good.to_json()) == good
    with pytest.raises(ArtefactError, match="events of a label must be off, gap, min_length"):
        replace(manifest, labels=(replace(first, events=events), *others))


RISING = {"*": {"gap": 0.0, "rise": 1.0}}


@pytest.mark.parametrize(("rise", "later"), [(1.0, 640), (0.5, 320), (0.0, 0)])
def test_a_steep_rise_moves_the_onset_later_and_a_steep_fall_the_offset_earlier(rise, later):
    settings = {"*": {"gap": 0.0, "rise": rise}}
    # From 0.1 to 0.9 within a quarter of a window: 0.8 squared of half a window of 2 s.
    told = run([0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1], settings)
    assert ended(told) == [("flute", 1_750 + later, 3_750 - later)]
    assert told[0].start == 1_750 + later


def test_a_slow_rise_moves_an_onset_little():
    (event,) = ended(run([0.3, 0.4, 0.5, 0.6, 0.5, 0.4, 0.3], RISING))
    assert event == ("flute", 1_750 + 10, 3_750 - 10)


def test_a_rise_is_measured_over_a_quarter_of_a_window_whatever_the_hop():
    # Five hops of 100 ms are that quarter.
    ((_, start, _),) = ended(run([0.0] * 9 + [0.2, 0.3, 0.5, 0.9, 0.9], RISING, hop=100))
    assert start == 1_100 + 950 + 250
    ((_, start, _),) = ended(run([0.1, 0.1, 0.9], RISING, hop=1_000))
    assert start == 2_500 + 640


def test_the_first_window_and_the_last_are_moved_by_no_rise():
    assert ended(run([0.9, 0.9, 0.9], RISING)) == [("flute", 0, 3_000)]
    assert ended(run([0.9, 0.9, 0.1], RISING)) == [("flute", 0, 1_750 - 640)]


def test_windows_that_do_not_overlap_or_that_miss_one_before_tell_no_rise():
    assert ended(run([0.1, 0.9, 0.1], RISING, hop=2_000)) == ended(run([0.1, 0.9, 0.1], hop=2_000))
    missed = [0.1, 0.1, None, 0.9, 0.9, None, 0.1, 0.1]
    assert ended(run(missed, RISING)) == ended(run(missed))


def test_an_event_moved_from_both_sides_is_told_at_once_and_ends_no_earlier_than_it_begins():
    onset, offset = run([0.1, 0.1, 0.9, 0.1, 0.1], RISING)
    assert (onset.state, onset.start) == ("onset", 2_390)
    assert (offset.start, offset.end) == (2_390, 2_390)


@pytest.mark.parametrize("share", [0.1, 0.24])
def test_where_little_of_a_window_is_enough_a_rise_brings_onsets_nearer_to_the_sound(share):
    errors = {0.0: [], 1.0: []}
    for rise, begin in itertools.product(errors, range(5_000, 5_500, 60)):
        end, told = begin + 4_600, []
        found = detector({"*": {"gap": 0.0, "rise": rise}}, labels=(FLUTE,))
        for start in range(0, 14_000, HOP):
            filled = max(0, min(start + WINDOW, end) - max(start, begin)) / WINDOW
            score = 1 / (1 + 2.0 ** (10 * (share - filled) / share))
            told += found.feed(start, start + WINDOW, {"flute": score})
        ((_, onset, offset),) = ended(told)
        errors[rise] += [begin - onset, offset - end]
    assert abs(fmean(errors[1.0])) < fmean(errors[0.0]) / 2
