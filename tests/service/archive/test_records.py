"""Times of records as text."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from service.archive.records import MinuteRecord, ProblemRecord, rfc3339, time_of
from tests.service.monitor.sinks.test_text_files import NOON, event


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_reads_back_as_it_was(ms):
    text = rfc3339(ms)
    assert text.endswith("Z")
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo == UTC
    assert round(moment.timestamp() * 1_000) == ms


def test_every_record_has_its_time():
    records = [
        event(),
        MinuteRecord(source="a", minute_ms=NOON),
        ProblemRecord(source="a", at_ms=NOON, problem="", detail="it works again"),
    ]
    assert [time_of(record) for record in records] == [NOON] * 3
