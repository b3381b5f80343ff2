"""Batches of other machines: what is wrong is named, and what is stored is stored once."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from common.errors import Busy, InputError, InsufficientStorage, TimbreError, Unprocessable
from service.archive.database import Archive
from service.archive.documents import document
from service.archive.receiver import MAX_NUMBER, MAX_RECORDS, RecordReceiver, read_batch
from tests.service.archive.test_database import rows
from tests.service.conftest import until
from tests.service.monitor.sinks.test_text_files import MINUTE, NOON, PROBLEM, event


def body(*records, **changes):
    batch = {"sender": "0123456789ab", "batch": 1, "records": list(map(document, records))}
    return json.dumps(batch | changes).encode()


@pytest.fixture
def told():
    return []


@pytest.fixture
async def receiver(tmp_path, told):
    path = str(tmp_path / "new" / "a.sqlite")
    found = RecordReceiver(path, max_bytes=2**30, stored=told.append)
    yield found
    await found.close()


async def test_a_batch_is_stored_and_told_once_whoever_sends_it_at_the_same_time(
    receiver, told, tmp_path
):
    records = [event(1), MINUTE, PROBLEM]
    counts = await asyncio.gather(*(receiver.store(body(*records)) for _ in range(8)))
    assert sorted(counts) == [0] * 7 + [3]
    assert told == records
    path = tmp_path / "new" / "a.sqlite"
    for table in ("events", "coverage", "problems"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(1,)]


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "a" * 8},
        {"sender": "A-" * 32},
        {"batch": MAX_NUMBER},
        {"records": [document(event(at)) for at in range(MAX_RECORDS)]},
    ],
)
def test_what_is_at_a_limit_is_read(changes):
    batch, records = read_batch(body(event(), **changes))
    assert len(records) == len(batch.records)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sender": "a" * 7}, "sender='aaaaaaa' must be 8 to 64"),
        ({"sender": "a" * 65}, "sender="),
        ({"sender": "a_b_c_d_e"}, "sender="),
        ({"sender": 5}, "sender=5"),
        ({"batch": 0}, "batch=0 must be between 1 and"),
        ({"batch": MAX_NUMBER + 1}, "batch="),
        ({"batch": 1.0}, "batch=1.0"),
        ({"records": []}, "records has 0 entries; it must have 1 to 500"),
        ({"records": [{}] * (MAX_RECORDS + 1)}, "records has 501 entries"),
        ({"records": {}}, "records={} must be a list"),
        ({"records": [document(event()), {}]}, "records[1]: type=None"),
        ({"more": 1}, "unknown field more"),
    ],
)
def test_what_is_past_a_limit_is_named(changes, words):
    with pytest.raises(Unprocessable) as error:
        read_batch(body(event(), **changes))
    assert words in str(error.value)


@pytest.mark.parametrize("sent", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null"])
async def test_what_is_no_batch_is_refused(receiver, sent):
    with pytest.raises(InputError):
        await receiver.store(sent)


async def test_of_a_batch_with_one_wrong_record_nothing_is_stored(receiver):
    wrong = document(event(2)) | {"peak": 2}
    with pytest.raises(Unprocessable, match=r"records\[1\]: peak=2"):
        await receiver.store(body(records=[document(event(1)), wrong]))
    assert await receiver.store(body(event(1))) == 1


@pytest.mark.parametrize("path", ["{day}.sqlite", "/proc/none/a.sqlite"])
def test_a_path_that_cannot_be_used_is_named_at_once(path):
    with pytest.raises(Unprocessable, match=r"day|/proc/none"):
        RecordReceiver(path, max_bytes=1)


async def test_past_its_bytes_the_archive_takes_no_more(tmp_path):
    path = tmp_path / "%Y.sqlite"

    async def taken(limit, number):
        receiver = RecordReceiver(str(path), max_bytes=limit)
        try:
            return await receiver.store(body(event(number), batch=number))
        finally:
            await receiver.close()

    await taken(1, 1)  # of none there is nothing yet
    (file,) = tmp_path.iterdir()
    size = file.stat().st_size
    with pytest.raises(InsufficientStorage, match=f"has {size} bytes; at most {size} are kept"):
        await taken(size, 2)
    assert await taken(size, 1) == 0  # it is there
    assert await taken(size + 1, 2) == 1


async def test_while_the_archive_cannot_be_written_a_batch_is_to_be_sent_again(
    receiver, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("service.archive.database.BUSY_S", 0.05)
    path = tmp_path / "new" / "a.sqlite"
    await receiver.store(body(event(1)))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        await receiver.close()
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(TimbreError) as error:
                await receiver.store(body(event(2), batch=2))
        other.execute("COMMIT")
    # The client is told no path of the server.
    assert str(error.value) == "the archive cannot be written now"
    assert await receiver.store(body(event(2), batch=2)) == 1
    log = capsys.readouterr().err
    assert (log.count("archive not written"), log.count("archive written again")) == (1, 1)
    assert "locked" in log


async def test_an_archive_that_was_removed_is_begun_anew(receiver, tmp_path):
    await receiver.store(body(event(1)))
    for file in (tmp_path / "new").iterdir():
        file.unlink()
    assert await receiver.store(body(event(1))) == 1


class Slow(Archive):
    """Waits with each write until it may."""

    def __init__(self, path):
        super().__init__(path)
        self.may = asyncio.Event()

    async def write_batch(self, *arguments, **more):
        await self.may.wait()
        return await super().write_batch(*arguments, **more)


async def test_who_leaves_ends_no_write(receiver, told, tmp_path):
    slow = receiver._archive = Slow(str(tmp_path / "a.sqlite"))
    waiting = asyncio.create_task(receiver.store(body(event(1))))
    await until(lambda: receiver._tasks)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    slow.may.set()
    await receiver.close()
    assert told == [event(1)]
    assert rows(tmp_path / "a.sqlite", "SELECT count(*) FROM events") == [(1,)]


async def test_batches_wait_up_to_a_limit_of_bytes(receiver, tmp_path, monkeypatch):
    slow = receiver._archive = Slow(str(tmp_path / "a.sqlite"))
    sent = [body(event(at), batch=at) for at in (1, 2, 3)]
    receiver._pending.limit = len(sent[0]) + len(sent[1])
    waiting = [asyncio.create_task(receiver.store(each)) for each in sent[:2]]
    await until(lambda: len(receiver._tasks) == 2)
    with pytest.raises(Busy, match="bytes of records wait for the archive"):
        await receiver.store(sent[2])
    slow.may.set()
    assert await asyncio.gather(*waiting) == [1, 1]
    assert receiver._pending.used == 0
    assert await receiver.store(sent[2]) == 1


async def test_what_is_no_batch_waits_for_nothing(receiver):
    for _ in range(3):
        with pytest.raises(InputError):
            await receiver.store(b"{")
    assert receiver._pending.used == 0


async def test_of_two_databases_one_may_be_full(tmp_path, told):
    path = str(tmp_path / "%H.sqlite")
    sent = body(event(1), event(2, start=NOON + 3_600_000))
    small = RecordReceiver(path, max_bytes=1, stored=told.append)
    with pytest.raises(InsufficientStorage):
        await small.store(sent)
    await small.close()
    assert told == [event(1)]
    wide = RecordReceiver(path, max_bytes=2**30, stored=told.append)
    assert await wide.store(sent) == 1
    await wide.close()
    assert [each.id for each in told] == ["hall-1", "hall-2"]


async def test_a_full_archive_gets_no_new_databases(tmp_path):
    receiver = RecordReceiver(str(tmp_path / "%H.sqlite"), max_bytes=1)
    await receiver.store(body(event(1)))
    for hour in (1, 2, 3):
        with pytest.raises(InsufficientStorage):
            await receiver.store(body(event(1, start=NOON + hour * 3_600_000), batch=2))
    await receiver.close()
    assert len(list(tmp_path.iterdir())) == 1
