"""Sums of archives by bin, day and hour, in any time zone."""

import sqlite3
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from common.errors import InputError
from service.archive.database import Archive
from service.archive.records import MINUTE_MS, EventRecord, MinuteRecord, ProblemRecord
from service.monitor.report.archive import HEARD, MOST_BINS, STATES, read_archives

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
DAY = 1_780_185_600_000
"""2026-05-31T00:00:00Z."""
HOUR = 3_600_000


def heard(at, minutes=1, *, source="hall", **states):
    """Minutes from a time on, heard unless they have other states."""
    states = states or {"heard_ms": MINUTE_MS}
    return [
        MinuteRecord(source=source, minute_ms=at + number * MINUTE_MS, **states)
        for number in range(minutes)
    ]


def event(start, seconds, *, label="flute", source="hall"):
    """An event; without an end if it lasts None."""
    end = None if seconds is None else start + round(seconds * 1000)
    return EventRecord(
        id=f"{source}-{label}-{start}",
        source=source,
        label=label,
        state="onset" if end is None else "offset",
        start_ms=start,
        end_ms=end,
        peak=0.9,
        mean=0.8,
        not_heard_s=0.0,
        model="toy",
        version="1",
    )


async def written(path, *records):
    """Write an archive and return its path."""
    archive = Archive(str(path))
    await archive.write([each for part in records for each in part])
    await archive.close()
    return path


async def test_all_states_add_up_in_bins_hours_and_days(tmp_path):
    states = {
        "heard_ms": 20_000,
        "silent_ms": 10_000,
        "clipped_ms": 5_000,
        "dropped_ms": {"late": 4_000, "tail": 6_000},
        "not_connected_ms": 15_000,
    }
    path = await written(tmp_path / "a", heard(DAY, 90, **states))
    source = read_archives([path], zone=UTC).sources["hall"]
    wanted = 90 * np.array([20, 10, 5, 10, 15.0])
    np.testing.assert_allclose(source.bins.sum(axis=0), wanted)
    np.testing.assert_allclose(source.hours.sum(axis=0), wanted)
    np.testing.assert_allclose(source.days[date(2026, 5, 31)], wanted)
    assert len(STATES) == len(wanted)
    np.testing.assert_allclose(source.hours[:2, HEARD], [1_200, 600])


@pytest.mark.parametrize(
    ("minutes", "width"), [(1, 60), (MOST_BINS, 60), (MOST_BINS + 1, 120), (1_440, 300)]
)
async def test_there_are_never_too_many_bins(minutes, width, tmp_path):
    path = await written(tmp_path / "a", heard(DAY), heard(DAY + (minutes - 1) * MINUTE_MS))
    archive = read_archives([path], zone=UTC)
    assert archive.bin_s == width
    assert archive.bins * width == -(-minutes * 60 // width) * width
    assert archive.bins <= MOST_BINS


async def test_an_event_lies_in_every_bin_and_day_that_it_touches(tmp_path):
    late = DAY + 24 * HOUR - 30_000
    path = await written(tmp_path / "a", heard(late - 30_000, 5), [event(late, 90)])
    archive = read_archives([path], zone=UTC)
    label = archive.sources["hall"].labels["flute"]
    assert label.bins.tolist() == [30, 60, 0, 0, 0]
    assert label.days == {date(2026, 5, 31): [1, 30.0], date(2026, 6, 1): [0, 60.0]}
    assert (label.count, label.hours[23], label.hours.sum()) == (1, 1, 1)


async def test_days_and_hours_are_those_of_the_time_zone(tmp_path):
    # 22:30 of the day before in UTC is half past midnight in Berlin.
    at = DAY - 90 * MINUTE_MS
    path = await written(tmp_path / "a", heard(at, 2), [event(at, 5)])
    source = read_archives([path], zone=BERLIN).sources["hall"]
    assert set(source.days) == set(source.labels["flute"].days) == {date(2026, 5, 31)}
    assert source.labels["flute"].hours[0] == 1


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
async def test_a_day_with_a_change_of_the_clock_has_its_own_length(day, hours, tmp_path):
    begin = int(datetime(*day, tzinfo=BERLIN).timestamp() * 1000)
    path = await written(tmp_path / "a", heard(begin - HOUR), heard(begin + 27 * HOUR))
    wanted = date(*day)
    archive = read_archives([path], zone=BERLIN, first=wanted, last=wanted)
    assert archive.bins * archive.bin_s == hours * 3_600
    assert archive.sources["hall"].days[wanted].sum() == hours * 3_600


async def test_an_event_without_an_end_is_seen_and_counted_as_such(tmp_path):
    path = await written(tmp_path / "a", heard(DAY, 2), [event(DAY + 5_000, None)])
    source = read_archives([path], zone=UTC).sources["hall"]
    assert source.open_events == 1
    assert source.labels["flute"].bins[0] > 0
    assert source.labels["flute"].days[date(2026, 5, 31)] == [1, 0.0]


async def test_databases_of_several_months_are_one_archive(tmp_path):
    may = await written(tmp_path / "5", heard(DAY, 1), [event(DAY, 70)])
    june = await written(tmp_path / "6", heard(DAY + 24 * HOUR), [event(DAY + 24 * HOUR, 1)])
    source = read_archives([june, may], zone=UTC).sources["hall"]
    assert source.labels["flute"].count == 2
    # The day between is in neither of them.
    assert source.bins.sum() == 120


async def test_days_can_be_chosen(tmp_path):
    events = [event(DAY + number * 24 * HOUR, 1) for number in range(4)]
    path = await written(tmp_path / "a", heard(DAY, 4 * 1_440), events)
    days = {"first": date(2026, 6, 1), "last": date(2026, 6, 2)}
    source = read_archives([path], zone=UTC, **days).sources["hall"]
    assert sorted(source.days) == sorted(days.values())
    assert source.labels["flute"].count == 2


async def test_problems_are_kept_the_newest_first(tmp_path):
    problems = [
        ProblemRecord(source="hall", at_ms=DAY + number * 1_000, problem=problem, detail="it")
        for number, problem in enumerate(["silent", ""])
    ]
    path = await written(tmp_path / "a", heard(DAY), problems)
    assert [each[2] for each in read_archives([path], zone=UTC).problems] == ["", "silent"]


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100, "folder", "other"])
async def test_what_is_no_archive_is_an_error_with_its_name_and_is_not_made(content, tmp_path):
    path = tmp_path / "my #archive?"
    match content:
        case bytes():
            path.write_bytes(content)
        case "folder":
            path.mkdir()
        case "other":
            sqlite3.connect(path).execute("CREATE TABLE a (b)").connection.close()
    with pytest.raises(InputError, match="my #archive"):
        read_archives([path], zone=UTC)
    assert path.exists() is (content is not None)


async def test_an_archive_without_a_minute_in_these_days_is_an_error(tmp_path):
    path = await written(tmp_path / "a", heard(DAY))
    with pytest.raises(InputError, match="in these days"):
        read_archives([path], zone=UTC, first=date(2026, 6, 1))
    with pytest.raises(InputError, match="no minute of coverage"):
        read_archives([await written(tmp_path / "b", [event(DAY, 1)])], zone=UTC)
