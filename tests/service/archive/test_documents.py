"""Records as JSON objects and back: nothing changes, and what is wrong is named."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Unprocessable, UnsupportedMedia
from common.strict_json import to_json
from service.archive.documents import (
    MAX_DETAIL,
    MAX_REASONS,
    MAX_SECONDS,
    MAX_TEXT,
    document,
    read_record,
)
from service.archive.records import EventRecord, MinuteRecord
from tests.service.monitor.sinks.test_text_files import MINUTE, NOON, PROBLEM, event

TEXT = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=MAX_TEXT)
MOMENT = st.integers(0, 253_000_000_000_000)
SHARE = st.floats(0, 1)


@st.composite
def events(draw):
    start = draw(MOMENT)
    end = draw(st.none() | st.integers(start, start + 10**9))
    return EventRecord(
        id=draw(TEXT),
        source=draw(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)),
        label=draw(TEXT),
        state="onset" if end is None else "offset",
        start_ms=start,
        end_ms=end,
        peak=draw(SHARE),
        mean=draw(SHARE),
        not_heard_s=draw(st.floats(0, MAX_SECONDS)),
        model=draw(TEXT),
        version=draw(TEXT),
    )


@st.composite
def minutes(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 60_000), min_size=5, max_size=5)))
    parts = [end - begin for begin, end in zip([0, *cuts], [*cuts, 60_000], strict=True)]
    return MinuteRecord(
        source="hall",
        minute_ms=draw(st.integers(0, 4_000_000)) * 60_000,
        heard_ms=parts[0],
        silent_ms=parts[1],
        clipped_ms=parts[2],
        not_connected_ms=parts[3],
        dropped_ms={"late": parts[4], "overload": parts[5]},
        recording=draw(st.just("") | TEXT),
    )


@given(events() | minutes())
def test_a_record_reads_back_as_it_was(record):
    assert read_record(json.loads(to_json(document(record))), where="") == record


def test_a_problem_reads_back_and_its_detail_may_be_any_text():
    for detail in ("it is dead", "two\nlines", ""):
        problem = replace(PROBLEM, detail=detail)
        assert read_record(document(problem), where="") == problem
    odd = read_record(document(replace(PROBLEM, detail="\ud800")), where="")
    assert odd.detail == "?"


EVENT, MINUTE_GIVEN, PROBLEM_GIVEN = map(document, (event(), MINUTE, PROBLEM))
REASONS = {"a" * at: 0 for at in range(1, MAX_REASONS + 1)}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (EVENT, {"id": "a" * MAX_TEXT}),
        (EVENT, {"label": "ü"}),
        (EVENT, {"peak": 1, "mean": 0}),
        (EVENT, {"not_heard": MAX_SECONDS}),
        (EVENT, {"source": "a" * 64}),
        (EVENT, {"end": EVENT["start"]}),
        (EVENT, {"start": "2020-05-31T08:30:00+02:00"}),
        (MINUTE_GIVEN, {"dropped": REASONS | {"a": 1}}),
        (MINUTE_GIVEN, {"heard": 60, "dropped": {}}),
        (MINUTE_GIVEN, {"recording": "a" * MAX_TEXT}),
        (PROBLEM_GIVEN, {"detail": "a" * MAX_DETAIL}),
        (PROBLEM_GIVEN, {"problem": ""}),
        (PROBLEM_GIVEN, {"at": "1970-01-01T00:00:00Z"}),
    ],
)
def test_what_is_at_a_limit_is_read(base, change):
    assert read_record(base | change, where="x")


@pytest.mark.parametrize(
    ("base", "change", "words"),
    [
        (EVENT, {"type": "sound"}, "type='sound' must be one of event, coverage, problem"),
        (EVENT, {"type": ["event"]}, "type="),
        (EVENT, {"v": True}, "v=True is not known; this server reads 1"),
        (EVENT, {"v": "2"}, "v='2'"),
        (EVENT, {"v": None}, "v=None"),
        (EVENT, {"id": ""}, "id='' must be 1 to 256"),
        (EVENT, {"id": "a" * (MAX_TEXT + 1)}, "id="),
        (EVENT, {"label": "a\nb"}, "label="),
        (EVENT, {"label": "\ud800"}, "label="),
        (EVENT, {"model": "\0"}, "model="),
        (EVENT, {"version": ""}, "version="),
        (EVENT, {"peak": 1.01}, "peak=1.01 must be between 0 and 1"),
        (EVENT, {"mean": -0.01}, "mean=-0.01"),
        (EVENT, {"peak": True}, "peak=True must be of type float"),
        (EVENT, {"not_heard": MAX_SECONDS * 1.01}, "not_heard="),
        (EVENT, {"source": "a" * 65}, "source="),
        (EVENT, {"source": "a/b"}, "source='a/b'"),
        (EVENT, {"source": ""}, "source=''"),
        (EVENT, {"state": "both"}, "state='both'"),
        (EVENT, {"end": None}, "end=None must be null at the onset"),
        (EVENT, {"state": "onset"}, "must be null at the onset"),
        (EVENT, {"end": "2020-01-01T00:00:00Z"}, "must not be before start"),
        (EVENT, {"start": "yesterday"}, "start='yesterday' must be RFC 3339"),
        (EVENT, {"start": "2026-05-31T06:30:00"}, "start='2026-05-31T06:30:00'"),
        (EVENT, {"start": "1969-12-31T23:59:59Z"}, "from 1970 to 9999"),
        (EVENT, {"start": "9999-12-31T23:59:59-01:00"}, "from 1970 to 9999"),
        (EVENT, {"more": 1}, "unknown field more"),
        (MINUTE_GIVEN, {"minute": "2026-05-31T06:30:01Z"}, "is not the beginning of a minute"),
        (MINUTE_GIVEN, {"heard": 58.999}, "add up to 59999 ms, not 60000"),
        (MINUTE_GIVEN, {"heard": 59.001}, "add up to 60001 ms"),
        (MINUTE_GIVEN, {"heard": 61}, "heard=61 must be between 0 and 60"),
        (MINUTE_GIVEN, {"silent": -1, "heard": 60}, "silent=-1"),
        (MINUTE_GIVEN, {"dropped": {"late": -1}, "heard": 61}, "must be between 0 and 60"),
        (MINUTE_GIVEN, {"dropped": {"Late!": 1}}, "dropped: 'Late!'"),
        (MINUTE_GIVEN, {"dropped": REASONS | {"late": 1}}, "has 17 reasons; at most 16"),
        (MINUTE_GIVEN, {"recording": "a" * (MAX_TEXT + 1)}, "recording="),
        (PROBLEM_GIVEN, {"problem": "loud"}, "problem='loud'"),
        (PROBLEM_GIVEN, {"detail": "a" * (MAX_DETAIL + 1)}, "detail has 1001 characters"),
        (PROBLEM_GIVEN, {"at": 1}, "at=1 must be of type str"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(base, change, words):
    with pytest.raises(Unprocessable) as error:
        read_record(base | change, where="records[3]")
    assert str(error.value).startswith("records[3]")
    assert words in str(error.value)


@pytest.mark.parametrize("version", [0, 2, 2**70])
def test_another_version_is_not_wrong_but_unknown(version):
    with pytest.raises(UnsupportedMedia, match=r"^r: v=.* is not known; this server reads 1"):
        read_record(EVENT | {"v": version, "more": 1}, where="r")


@pytest.mark.parametrize("value", [None, 3, [], "event", {}])
def test_what_is_no_record_is_named(value):
    with pytest.raises(Unprocessable, match=r"records\[0\]: type=None"):
        read_record(value, where="records[0]")


@pytest.mark.parametrize("base", [EVENT, MINUTE_GIVEN, PROBLEM_GIVEN])
def test_a_field_that_is_missing_is_named(base):
    for name in set(base) - {"type", "v", "recording"}:
        with pytest.raises(Unprocessable, match=f"missing field {name}"):
            read_record({key: value for key, value in base.items() if key != name}, where="r")


def test_a_record_of_a_time_has_that_time():
    assert read_record(EVENT, where="").start_ms == NOON
