"""The archive: what was heard, and when nobody listened, side by side."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from common.errors import Unprocessable
from service.archive import database
from service.archive.database import Archive, ArchiveError
from service.archive.records import (
    MAX_MS,
    MINUTE_MS,
    EventRecord,
    MinuteRecord,
    ProblemRecord,
    rfc3339,
    time_of,
)
from tests.service.monitor.sinks.test_text_files import NASTY, NOON, event


def minute(number, **states):
    known = sum(states.get(name, 0) for name in ("heard_ms", "silent_ms", "clipped_ms"))
    known += sum(states.get("dropped_ms", {}).values())
    return MinuteRecord(
        source="hall",
        minute_ms=NOON + number * MINUTE_MS,
        not_connected_ms=MINUTE_MS - known,
        **states,
    )


def rows(path, query):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


TOTALS = """
SELECT heard_ms + silent_ms + clipped_ms + not_connected_ms
    + (SELECT total(dropped_ms) FROM dropped WHERE dropped.source = coverage.source
       AND dropped.minute = coverage.minute) FROM coverage
"""


async def test_an_event_is_one_row_from_onset_to_offset(tmp_path):
    path = tmp_path / "new" / "a.sqlite"
    archive = Archive(str(path))
    assert await archive.write([event(1, ended=False), event(2), event(1)]) == 3
    # As after a kill: a file is taken again.
    await archive.write([event(1, ended=False)])
    await archive.close()
    assert rows(path, 'SELECT id, "end" IS NULL FROM events ORDER BY id') == [
        ("hall-1", 0),
        ("hall-2", 0),
    ]


@pytest.mark.parametrize("gap", [1, 2, 3, 2_000])
async def test_minutes_in_which_nobody_ran_are_not_connected(gap, tmp_path):
    archive = Archive(str(tmp_path / "a"))
    await archive.write([minute(0, heard_ms=60_000)])
    await archive.write([minute(gap, heard_ms=30_000)])
    await archive.close()
    found = rows(tmp_path / "a", "SELECT minute, not_connected_ms FROM coverage ORDER BY minute")
    assert [each for each, _ in found] == [
        rfc3339(NOON + number * MINUTE_MS) for number in range(gap + 1)
    ]
    assert [ms for _, ms in found] == [0, *[60_000] * (gap - 1), 30_000]


async def test_a_clock_that_was_wrong_by_years_adds_no_millions_of_minutes(tmp_path, monkeypatch):
    archive = Archive(str(tmp_path / "a"))
    await archive.write([MinuteRecord(source="hall", minute_ms=0, heard_ms=60_000), minute(0)])
    monkeypatch.setattr(database, "LONGEST_GAP_MS", 10 * MINUTE_MS)
    await archive.write([minute(10), minute(21)])
    await archive.close()
    assert rows(tmp_path / "a", "SELECT count(*) FROM coverage") == [(1 + 11 + 1,)]


async def test_a_minute_with_a_restart_in_it_is_full_and_once(tmp_path):
    archive = Archive(str(tmp_path / "a"))
    await archive.write([minute(0, heard_ms=20_000, dropped_ms={"late": 500, "tail": 100})])
    await archive.write([minute(0, heard_ms=10_000, silent_ms=5_000, dropped_ms={"late": 1})])
    await archive.close()
    assert rows(tmp_path / "a", TOTALS) == [(60_000,)]
    assert rows(tmp_path / "a", "SELECT reason, dropped_ms FROM dropped ORDER BY reason") == [
        ("late", 501),
        ("tail", 100),
    ]


async def test_no_minute_has_more_than_a_minute(tmp_path):
    # A clock set back before a restart, or recordings that overlap.
    archive = Archive(str(tmp_path / "a"))
    await archive.write([minute(0, heard_ms=40_000, dropped_ms={"late": 5_000})])
    await archive.write([minute(0, heard_ms=10_000, clipped_ms=30_000, dropped_ms={"tail": 9})])
    await archive.close()
    assert rows(tmp_path / "a", TOTALS) == [(60_000,)]
    assert rows(tmp_path / "a", "SELECT heard_ms, clipped_ms, not_connected_ms FROM coverage") == [
        (50_000, 5_000, 0)
    ]
    assert rows(tmp_path / "a", "SELECT reason FROM dropped") == [("late",)]


async def test_a_recording_tells_of_a_minute_once_and_two_recordings_share_one(tmp_path):
    archive = Archive(str(tmp_path / "a"))
    one, two = (
        replace(minute(0, heard_ms=20_000, dropped_ms={"tail": 7}), recording=key) for key in "ab"
    )
    await archive.write([one, two, one])
    await archive.close()
    found = rows(
        tmp_path / "a", "SELECT heard_ms, not_connected_ms, dropped_ms FROM coverage, dropped"
    )
    assert found == [(40_000, 19_986, 14)]


@pytest.mark.parametrize(
    ("form", "gap"),
    [("%Y-%m-%d", 1_440), ("%Y-%m-%d", 4_320), ("%Y/%m", 4_320), ("%Y", 2), ("%d/%H", 720),
     ("%H%M", 4)],
)  # fmt: skip
async def test_minutes_in_which_nobody_ran_are_in_the_database_they_belong_to(form, gap, tmp_path):
    path = str(tmp_path / f"{form}.sqlite")
    first = Archive(path)
    await first.write([minute(0, heard_ms=60_000)])
    await first.close()
    second = Archive(path)
    for number in (gap, gap + 1):
        assert await second.write([minute(number, heard_ms=60_000)]) == 1
    await second.close()
    found = [
        row
        for file in sorted(tmp_path.rglob("*.sqlite"))
        for row in rows(file, "SELECT minute, not_connected_ms FROM coverage")
    ]
    assert [at for at, _ in sorted(found)] == [
        rfc3339(NOON + number * MINUTE_MS) for number in range(gap + 2)
    ]
    assert sum(ms for _, ms in found) == (gap - 1) * MINUTE_MS
    for at, _ in found:
        assert (tmp_path / f"{datetime.fromisoformat(at).strftime(form)}.sqlite").exists()


@pytest.mark.parametrize("form", ["a", "%H%M"])
async def test_the_minute_of_a_first_event_is_there_though_a_kill_came_before_its_end(
    form, tmp_path
):
    first = Archive(str(tmp_path / form))
    await first.write([event(1, ended=False)])
    await first.close()
    second = Archive(str(tmp_path / form))
    assert await second.write([minute(2, heard_ms=60_000)]) == 1
    await second.close()
    found = [
        row
        for file in tmp_path.iterdir()
        for row in rows(file, "SELECT minute, not_connected_ms FROM coverage")
    ]
    expected = [(rfc3339(NOON + n * MINUTE_MS), ms) for n, ms in ((0, 60_000), (1, 60_000), (2, 0))]
    assert sorted(found) == expected


async def test_a_damaged_database_of_another_day_is_no_reason_to_stop(tmp_path):
    day = 1_440
    (tmp_path / f"{datetime.fromtimestamp(NOON / 1000, UTC):%Y-%m-%d}").write_bytes(b"x" * 5_000)
    archive = Archive(str(tmp_path / "%Y-%m-%d"))
    assert await archive.write([minute(day, heard_ms=60_000)]) == 1
    with pytest.raises(ArchiveError, match="not a database"):
        await archive.write([minute(0, heard_ms=60_000)])


async def test_each_month_has_its_database_and_a_batch_over_both_comes_in_two(tmp_path):
    archive = Archive(str(tmp_path / "%Y-%m"))
    month = 31 * 86_400_000
    batch = [event(1), event(2), event(3, start=NOON + month)]
    assert await archive.write(batch) == 2
    assert await archive.write(batch[2:]) == 1
    await archive.close()
    names = sorted(each.name for each in tmp_path.iterdir())
    assert len(names) == 2


async def test_others_read_while_it_is_open(tmp_path):
    archive = Archive(str(tmp_path / "a"))
    await archive.write([event(1)])
    assert rows(tmp_path / "a", "SELECT count(*) FROM events") == [(1,)]
    await archive.write([event(2)])
    assert rows(tmp_path / "a", "SELECT count(*) FROM events") == [(2,)]
    await archive.close()


async def test_a_file_that_is_no_database_is_an_error_that_names_it(tmp_path):
    (tmp_path / "a").write_bytes(b"something else" * 100)
    archive = Archive(str(tmp_path / "a"))
    with pytest.raises(ArchiveError, match="a: file is not a database"):
        await archive.write([event(1)])
    (tmp_path / "a").unlink()
    assert await archive.write([event(1)]) == 1
    await archive.close()


async def test_a_database_that_was_moved_away_is_begun_anew(tmp_path):
    archive = Archive(str(tmp_path / "a"))
    await archive.write([event(1)])
    (tmp_path / "a").rename(tmp_path / "b")
    await archive.write([event(2)])
    await archive.close()
    assert rows(tmp_path / "a", "SELECT id FROM events") == [("hall-2",)]


@pytest.mark.parametrize("label", NASTY)
async def test_labels_are_kept_as_they_are(label, tmp_path):
    archive = Archive(str(tmp_path / "a"))
    await archive.write([event(label=label)])
    await archive.close()
    assert rows(tmp_path / "a", "SELECT label FROM events") == [(label,)]


async def test_problems_are_kept_in_their_order(tmp_path):
    archive = Archive(str(tmp_path / "a"))
    for problem in ("silent", ""):
        await archive.write(
            [ProblemRecord(source="hall", at_ms=NOON, problem=problem, detail="why")]
        )
    await archive.close()
    assert rows(tmp_path / "a", "SELECT problem FROM problems") == [("silent",), ("",)]


async def test_a_batch_that_comes_again_is_written_once(tmp_path):
    archive = Archive(str(tmp_path / "a"))
    half = [minute(0, heard_ms=30_000), event(1)]
    assert await archive.write_batch(half, sender="x", number=1)
    assert not await archive.write_batch(half, sender="x", number=1)
    await archive.close()
    # As after a kill.
    archive = Archive(str(tmp_path / "a"))
    assert not await archive.write_batch(half, sender="x", number=1)
    # Another monitor of the same source, after a restart within the minute.
    assert await archive.write_batch(half, sender="y", number=1)
    assert await archive.write_batch([event(2)], sender="x", number=2)
    await archive.close()
    assert rows(tmp_path / "a", "SELECT heard_ms, not_connected_ms FROM coverage") == [(60_000, 0)]
    assert rows(tmp_path / "a", "SELECT count(*) FROM events") == [(2,)]


async def test_each_database_has_its_part_of_a_batch_once(tmp_path):
    archive = Archive(str(tmp_path / "%H"))
    later = event(2, start=NOON + 3_600_000)
    batch = [event(1), later, event(3), minute(61, heard_ms=60_000)]
    first, second = archive.by_database(batch)
    assert (first, second) == ([event(1), event(3)], [later, batch[3]])
    # The first database is written, and the second is not.
    assert await archive.write_batch(first, sender="x", number=7)
    blocked = archive._file(time_of(later))
    blocked.mkdir()
    with pytest.raises(ArchiveError):
        await archive.write_batch(second, sender="x", number=7)
    blocked.rmdir()
    assert not await archive.write_batch(first, sender="x", number=7)
    assert await archive.write_batch(second, sender="x", number=7)
    await archive.close()
    for part in (first, second):
        count = sum(isinstance(each, EventRecord) for each in part)
        file = archive._file(time_of(part[0]))
        assert rows(file, "SELECT count(*) FROM events") == [(count,)]


async def test_only_what_is_new_is_checked_and_before_it_is_written(tmp_path):
    archive = Archive(str(tmp_path / "a"))

    def full():
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await archive.write_batch([event(1)], sender="x", number=1, check=full)
    assert not (tmp_path / "a").exists()
    assert await archive.write_batch([event(1)], sender="x", number=1)
    assert not await archive.write_batch([event(1)], sender="x", number=1, check=full)
    with pytest.raises(ValueError, match="full"):
        await archive.write_batch([event(2)], sender="x", number=2, check=full)
    await archive.close()
    assert rows(tmp_path / "a", "SELECT count(*) FROM events") == [(1,)]


@pytest.mark.parametrize("form", ["a", "%Y-%m-%d"])
async def test_a_batch_adds_missing_minutes_up_to_a_limit(form, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MAX_ADDED", 10)
    archive = Archive(str(tmp_path / form))

    async def write(number, *minutes):
        records = [minute(at, heard_ms=60_000) for at in minutes]
        return await archive.write_batch(records, sender="x", number=number)

    assert await write(1, 0, 6, 12)  # 5 and 5 are missing
    with pytest.raises(Unprocessable, match="11 are missing between them; at most 10 are added"):
        await write(2, 18, 25)
    assert await write(2, 18)
    assert await write(3, 25)
    await archive.close()
    (file,) = tmp_path.iterdir()
    assert rows(file, "SELECT count(*) FROM coverage") == [(26,)]


async def test_of_databases_and_sources_only_some_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MAX_JOINED", 2)
    archive = Archive(str(tmp_path / "a"))
    for at in range(5):
        await archive.write([replace(minute(at), source=str(at))])
        assert len(archive._joined) <= 2
    await archive.close()


@pytest.mark.parametrize("at_ms", [0, MAX_MS // MINUTE_MS * MINUTE_MS])
async def test_the_first_and_the_last_minute_that_can_be_told_are_kept(at_ms, tmp_path):
    archive = Archive(str(tmp_path / "%Y"))
    await archive.write([MinuteRecord(source="hall", minute_ms=at_ms, heard_ms=60_000)])
    await archive.close()
    (file,) = tmp_path.iterdir()
    assert rows(file, "SELECT minute FROM coverage") == [(rfc3339(at_ms),)]


async def test_two_programs_write_batches_to_one_database(tmp_path):
    path = str(tmp_path / "a")
    first, second = Archive(path), Archive(path)
    for number in range(1, 40):
        await asyncio.gather(
            first.write_batch([event(number)], sender="0", number=number),
            second.write_batch([event(100 + number)], sender="1", number=number),
        )
    await first.close()
    await second.close()
    assert rows(path, "SELECT count(*) FROM events") == [(2 * 39,)]
