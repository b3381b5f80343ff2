"""Recordings of a watched folder become events and coverage, once each."""

import asyncio
import json

import pytest

from common.errors import InputError
from service.archive.database import Archive
from service.archive.records import EventRecord, MinuteRecord
from service.client import Client
from service.monitor import folder_follower
from service.monitor.config import SourceSettings
from service.monitor.folder import Recording
from service.monitor.folder_follower import FolderFollower, check_size
from service.monitor.sinks.text_files import FORMS, TextFiles
from tests.service.archive.test_database import TOTALS, rows
from tests.service.conftest import tone, wav
from tests.service.conftest import until as wait_until
from tests.service.monitor.test_coverage import total

BEGIN_MS = 1_780_209_000_000
"""2026-05-31 06:30:00 UTC."""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(folder_follower, "SCAN_S", 0.02)


async def at_once():
    """As sinks that have every record when it is put."""


async def followed(server, folder, *, until, written=at_once):
    """Follow a folder until `until` of what it tells; return that."""
    settings = SourceSettings(name="cards", input=f"folder:{folder}", model="toy")
    told = []
    follower = FolderFollower(settings, Client(server.url), told.append, written=written)
    task = asyncio.create_task(follower.run())
    await wait_until(lambda: until(told))
    follower.stop()
    await task
    return told


def minutes(told):
    return [record for record in told if isinstance(record, MinuteRecord)]


async def test_a_recording_is_taken_once_with_the_time_of_its_name(serve, tmp_path, capsys):
    server = await serve()
    (tmp_path / "20260531_063000.wav").write_bytes(wav(tone(5)))
    (tmp_path / "00-broken.wav").write_bytes(b"no sound at all")
    told = await followed(server, tmp_path, until=minutes)
    onset, offset = [record for record in told if isinstance(record, EventRecord)]
    assert (onset.state, offset.state) == ("onset", "offset")
    assert onset.start_ms == BEGIN_MS
    (minute,) = minutes(told)
    assert (minute.minute_ms, total(minute)) == (BEGIN_MS, 60_000)
    assert minute.heard_ms + sum(minute.dropped_ms.values()) == 5_000

    (tmp_path / "20260531_063100.wav").write_bytes(wav(tone(3)))
    again = await followed(server, tmp_path, until=minutes)
    assert {minute.minute_ms for minute in minutes(again)} == {BEGIN_MS + 60_000}
    assert capsys.readouterr().err.count("recording left out") == 1


async def test_a_recording_that_is_a_fault_keeps_no_other_from_being_taken(
    serve, tmp_path, capsys, monkeypatch
):
    server, play = await serve(), folder_follower.Playback

    def fails_first(path):
        if path.name.startswith("a"):
            raise KeyError(path.name)
        return play(path)

    monkeypatch.setattr(folder_follower, "Playback", fails_first)
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(wav(tone(2.5)))
    assert minutes(await followed(server, tmp_path, until=minutes))
    told = capsys.readouterr().err
    assert told.count("recording left out") == told.count("a fault: KeyError") == 1


@pytest.mark.parametrize(("size", "fits"), [(1_000, True), (1_001, False)])
def test_a_recording_larger_than_memory_allows_is_left_out(size, fits, tmp_path):
    recording = Recording(tmp_path / "a.wav", size, 0)
    if fits:
        check_size(recording, 1_000)
    else:
        with pytest.raises(InputError, match=r"a\.wav has 1001 bytes, .* 1000: record shorter"):
            check_size(recording, 1_000)


async def test_a_folder_that_vanishes_is_told_once_and_watched_on(serve, tmp_path, capsys):
    server = await serve()
    folder = tmp_path / "cards"

    async def make():
        await wait_until(lambda: "folder fails" in capsys_text())
        folder.mkdir()
        (folder / "a.wav").write_bytes(wav(tone(2.5)))

    said = []

    def capsys_text():
        said.append(capsys.readouterr().err)
        return "".join(said)

    making = asyncio.create_task(make())
    assert minutes(await followed(server, folder, until=minutes))
    await making
    assert capsys_text().count("folder fails") == capsys_text().count("folder works") == 1


def taken(marks):
    """The names of the recordings that are marked as taken."""
    lines = marks.read_text().splitlines() if marks.exists() else []
    return [name for line in lines for name in json.loads(line).values() if name]


async def test_a_recording_is_marked_once_the_sinks_have_what_was_heard(serve, tmp_path):
    server = await serve()
    (tmp_path / "a.wav").write_bytes(wav(tone(2.5)))
    away, marks = asyncio.Event(), tmp_path / ".timbre-cards.json"
    settings = SourceSettings(name="cards", input=f"folder:{tmp_path}", model="toy")
    told = []
    follower = FolderFollower(settings, Client(server.url), told.append, written=away.wait)
    task = asyncio.create_task(follower.run())
    (tmp_path / "b.wav").write_bytes(wav(tone(2.5)))
    # The sink holds up no recording.
    await wait_until(lambda: len(minutes(told)) >= 2)
    assert taken(marks) == []
    away.set()
    await wait_until(lambda: len(taken(marks)) == 2)
    follower.stop()
    await task
    assert sorted(taken(marks)) == ["a.wav", "b.wav"]
    heard = sum(minute.heard_ms + sum(minute.dropped_ms.values()) for minute in minutes(told))
    assert heard == 5_000


async def test_what_was_written_before_a_kill_is_not_written_twice(serve, tmp_path):
    server = await serve()
    folder = tmp_path / "cards"
    folder.mkdir()
    (folder / "20260531_063000.wav").write_bytes(wav(tone(5)))
    sinks = [Archive(str(tmp_path / "a.sqlite"))]
    for kind, (lines, head) in FORMS.items():
        sinks.append(TextFiles(str(tmp_path / kind), lines, head=head))
    files = ("jsonl", "csv", "audacity", "raven")
    never = asyncio.Event()

    async def killed():
        """All sinks but one have everything when the monitor is killed."""
        told = []
        settings = SourceSettings(name="cards", input=f"folder:{folder}", model="toy")
        follower = FolderFollower(settings, Client(server.url), told.append, written=never.wait)
        task = asyncio.create_task(follower.run())
        await wait_until(lambda: minutes(told))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for sink in sinks[:-1]:
            await sink.write(told)

    await killed()
    once = [(tmp_path / kind).read_text() for kind in files[:-1]]
    # Killed again, and then left alone.
    await killed()
    told = await followed(server, folder, until=minutes)
    for sink in sinks:
        await sink.write(told)
        await sink.close()
    assert [(tmp_path / kind).read_text() for kind in files[:-1]] == once
    assert len((tmp_path / "raven").read_text().splitlines()) == 2
    assert rows(tmp_path / "a.sqlite", TOTALS) == [(60_000,)]
    heard = "SELECT heard_ms + (SELECT total(dropped_ms) FROM dropped) FROM coverage"
    assert rows(tmp_path / "a.sqlite", heard) == [(5_000,)]
    assert rows(tmp_path / "a.sqlite", "SELECT count(*) FROM events") == [(1,)]
