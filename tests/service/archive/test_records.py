"""Times of records as text."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.archive.records import (
    MAX_MS,
    MinuteRecord,
    ProblemRecord,
    milliseconds,
    rfc3339,
    time_of,
)
from tests.service.monitor.sinks.test_text_files import NOON, event


@given(st.integers(0, MAX_MS))
def test_a_time_reads_back_as_it_was(ms):
    text = rfc3339(ms)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text).tzinfo == UTC
    assert milliseconds(text) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999Z", MAX_MS),
        ("1969-12-31T23:00:00-01:00", 0),
        ("2026-05-31t06:30:00.2509z", 1780209000250),
        ("2026-05-31T08:30:00.25+02:00", 1780209000250),
    ],
)
def test_a_time_may_be_written_as_rfc_3339_allows(text, ms):
    assert milliseconds(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-05-31T06:30:00",
        "2026-05-31 06:30:00Z",
        "20260531T063000Z",
        "2026-W22-7T06:30:00Z",
        "2026-05-31T06:30Z",
        "2026-05-31T06:30:00,25Z",
        "\uff12026-05-31T06:30:00Z",
        "",
    ],
)
def test_other_texts_are_no_times(text):
    with pytest.raises(ValueError, match=r".+"):
        milliseconds(text)


def test_every_record_has_its_time():
    records = [
        event(),
        MinuteRecord(source="a", minute_ms=NOON),
        ProblemRecord(source="a", at_ms=NOON, problem="", detail="it works again"),
    ]
    assert [time_of(record) for record in records] == [NOON] * 3
