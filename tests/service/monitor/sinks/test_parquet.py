"""Events and coverage as Parquet files, read back by pyarrow."""

import os
import resource
from datetime import UTC, datetime, timedelta

import pyarrow.parquet
import pytest

from common.errors import Unprocessable
from service.archive.records import MINUTE_MS
from service.monitor.sinks.parquet import LEAST_BYTES, ParquetFiles, ParquetSettings
from tests.service.archive.test_database import minute
from tests.service.monitor.sinks.test_text_files import MINUTE, NASTY, NOON, PROBLEM, event


def sink(path, **more):
    return ParquetFiles(ParquetSettings(path=str(path), **more))


def rows(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


async def test_each_type_of_record_has_its_files_with_the_columns_of_the_archive(tmp_path):
    await sink(tmp_path / "a.parquet").write([event(), event(2, ended=False), MINUTE, PROBLEM])
    at = datetime.fromtimestamp(NOON / 1000, UTC)
    (told,) = rows(tmp_path / "a-event-000001.parquet")
    assert (told["id"], told["label"], told["not_heard"]) == ("hall-1", "violin", 0.25)
    assert (told["start"], told["end"]) == (at, at + timedelta(seconds=1.5))
    (told,) = rows(tmp_path / "a-coverage-000001.parquet")
    assert (told["minute"], told["heard_ms"], told["dropped_ms"]) == (at, 59_000, [("late", 1_000)])
    (told,) = rows(tmp_path / "a-problem-000001.parquet")
    assert (told["at"], told["problem"]) == (at, "silent")


async def test_a_later_batch_and_a_later_start_go_on_in_the_same_file(tmp_path):
    for numbers in ((1, 2), (3,)):
        await sink(tmp_path / "a").write([event(number) for number in numbers])
    found = rows(tmp_path / "a-event-000001.parquet")
    assert [each["id"] for each in found] == ["hall-1", "hall-2", "hall-3"]
    assert names(tmp_path) == ["a-event-000001.parquet"]


async def test_each_source_and_day_has_its_files(tmp_path):
    later = event(start=NOON + 86_400_000)
    await sink(tmp_path / "{source}-%Y-%m-%d").write([event(), event(source="yard"), later])
    assert len(names(tmp_path)) == 3


async def test_a_file_that_is_large_enough_is_left_and_the_next_begun(tmp_path):
    files = sink(tmp_path / "a", max_bytes=LEAST_BYTES)
    for batch in range(4):
        # Ids that do not compress.
        records = [event(os.urandom(20).hex()) for _ in range(200 + batch)]
        await files.write(records)
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert len(sizes) > 1
    assert all(size >= LEAST_BYTES for size in sizes[:-1])
    assert sum(len(rows(path)) for path in tmp_path.iterdir()) == 4 * 200 + 6


@pytest.mark.parametrize("label", NASTY)
async def test_labels_are_kept_as_they_are(label, tmp_path):
    await sink(tmp_path / "a").write([event(label=label)])
    assert rows(tmp_path / "a-event-000001.parquet")[0]["label"] == label


async def test_a_damaged_file_is_left_as_it_is(tmp_path):
    (tmp_path / "a-event-000001.parquet").write_bytes(b"PAR1 no more")
    await sink(tmp_path / "a").write([event()])
    assert (tmp_path / "a-event-000001.parquet").read_bytes() == b"PAR1 no more"
    assert len(rows(tmp_path / "a-event-000002.parquet")) == 1


async def test_a_disk_that_fills_up_leaves_every_file_as_it_was(tmp_path):
    files = sink(tmp_path / "a")
    await files.write([minute(0, heard_ms=60_000)])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    many = [event(os.urandom(20).hex()) for _ in range(500)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (LEAST_BYTES, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            await files.write([minute(1, heard_ms=60_000), *many])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    await files.write([minute(1, heard_ms=60_000), *many])
    found = rows(tmp_path / "a-coverage-000001.parquet")
    assert found[1]["minute"] - found[0]["minute"] == timedelta(milliseconds=MINUTE_MS)


@pytest.mark.parametrize(("size", "fits"), [(LEAST_BYTES, True), (LEAST_BYTES - 1, False)])
def test_a_file_has_a_least_size(size, fits):
    if fits:
        assert ParquetSettings(path="a", max_bytes=size).max_bytes == size
    else:
        with pytest.raises(Unprocessable, match="max_bytes=9999 must be 10000 or more"):
            ParquetSettings(path="a", max_bytes=size)
