"""Events as lines of files that other programs read."""

import csv
import json
import os
import resource
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import Unprocessable
from service.archive.records import EventRecord, MinuteRecord, ProblemRecord
from service.monitor.sinks import text_files
from service.monitor.sinks.text_files import FORMS, FileSettings, TextFiles

NOON = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 12 * 3_600_000


def event(number=1, *, label="violin", source="hall", ended=True, start=NOON):
    return EventRecord(
        id=f"{source}-{number}",
        source=source,
        label=label,
        state="offset" if ended else "onset",
        start_ms=start,
        end_ms=start + 1_500 if ended else None,
        peak=0.9,
        mean=0.75,
        not_heard_s=0.25,
        model="instruments",
        version="2",
    )


MINUTE = MinuteRecord(source="hall", minute_ms=NOON, heard_ms=59_000, dropped_ms={"late": 1_000})
PROBLEM = ProblemRecord(source="hall", at_ms=NOON, problem="silent", detail="it is dead")


def sink(kind, path):
    lines, head = FORMS[kind]
    return TextFiles(str(path), lines, head=head)


async def test_json_lines_hold_every_record_with_its_times_in_utc(tmp_path):
    path = tmp_path / "new" / "all.jsonl"
    assert await sink("jsonl", path).write([event(), event(2, ended=False), MINUTE, PROBLEM]) == 4
    first, second, minute, problem = map(json.loads, path.read_text().splitlines())
    assert first["v"] == 1
    assert (first["start"][10:], first["end"][10:]) == ("T12:00:00.000Z", "T12:00:01.500Z")
    assert (first["not_heard"], first["peak"], first["state"]) == (0.25, 0.9, "offset")
    assert second["end"] is None
    assert (minute["type"], minute["heard"], minute["dropped"]) == ("coverage", 59, {"late": 1})
    assert (problem["problem"], problem["at"][10:]) == ("silent", "T12:00:00.000Z")


@pytest.mark.parametrize("kind", ["csv", "audacity", "raven"])
async def test_tables_have_events_that_ended_and_nothing_else(kind, tmp_path):
    path = tmp_path / "a"
    await sink(kind, path).write([event(), event(2, ended=False), MINUTE, PROBLEM])
    heads = FORMS[kind][1].count("\n")
    assert len(path.read_text().splitlines()) == heads + 1


NASTY = ['quo"te', "tab\there", "two\nlines", "=1+1", "-1+1", "@SUM", "a,b", "ümläut"]


@pytest.mark.parametrize("label", NASTY)
async def test_no_label_breaks_a_line(label, tmp_path):
    for kind in FORMS:
        await sink(kind, tmp_path / kind).write([event(label=label), event(2)])
        heads = FORMS[kind][1].count("\n")
        text = (tmp_path / kind).read_text()
        if kind == "csv":
            rows = list(csv.DictReader(text.splitlines(keepends=True)))
            assert rows[0]["label"].removeprefix("'") == label
            assert not rows[0]["label"].startswith(("=", "@", "-"))
        else:
            assert len(text.splitlines()) == heads + 2


async def test_selections_of_raven_are_numbered_through_restarts(tmp_path):
    for numbers in ((1, 2), (3,), (4, 5)):
        await sink("raven", tmp_path / "a").write([event(number) for number in numbers])
    head, *rows = [line.split("\t") for line in (tmp_path / "a").read_text().splitlines()]
    assert head[:5] == ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert {len(row) for row in rows} == {len(head)}
    assert rows[0][3:5] == ["43200.000000", "43201.500000"]


@pytest.mark.parametrize("label", ["violin", *NASTY])
@pytest.mark.parametrize("kind", FORMS)
async def test_what_a_file_has_from_before_a_kill_is_not_written_again(kind, label, tmp_path):
    path = tmp_path / "a"
    first, second = event(1, label=label), event(2, label=label, start=NOON + 10_000)
    await sink(kind, path).write([event(0), first])
    before = path.read_text()
    again = [replace(each, again=True) for each in (first, second)]
    await sink(kind, path).write(again)
    assert path.read_text().startswith(before)
    assert path.read_text().count("\n", len(before)) == (
        2 if label == NASTY[2] and kind == "csv" else 1
    )
    # The same of a live source is another event.
    await sink(kind, path).write([first])
    assert len(path.read_text()) > len(before) + len(label)


@pytest.mark.parametrize("kind", FORMS)
async def test_a_line_that_a_power_cut_has_torn_takes_no_other_with_it(kind, tmp_path):
    path = tmp_path / "a"
    await sink(kind, path).write([event(1)])
    whole = path.read_text()
    path.write_text(whole[:-5])
    await sink(kind, path).write([event(2)])
    assert path.read_text().startswith(whole[:-5] + "\n")
    assert path.read_text().endswith("\n")


async def test_each_source_and_day_has_its_file(tmp_path):
    path = tmp_path / "{source}-%Y-%m-%d.csv"
    records = [event(), event(source="yard"), event(start=NOON + 86_400_000)]
    await sink("csv", path).write(records)
    assert len({each.name for each in tmp_path.iterdir()}) == 3
    assert {each.name[:4] for each in tmp_path.iterdir()} == {"hall", "yard"}


async def test_of_a_batch_that_fails_no_file_keeps_anything(tmp_path, monkeypatch):
    path = tmp_path / "{source}"
    await sink("csv", path).write([event(), event(source="yard")])
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    wrote = []

    def fails_second(descriptor):
        wrote.append(descriptor)
        if len(wrote) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails_second)
    failing = sink("csv", path)
    with pytest.raises(OSError, match="No space"):
        await failing.write([event(3), event(4, source="yard")])
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before
    await failing.write([event(3), event(4, source="yard")])
    assert all(each.read_text().count("\n") == 3 for each in tmp_path.iterdir())


@pytest.mark.parametrize(("room", "records"), [(0, 1), (10, 2), (20_000, 200)])
async def test_a_disk_that_fills_up_leaves_the_file_as_it_was(tmp_path, room, records):
    path = tmp_path / "events.jsonl"
    await sink("jsonl", path).write([event()])
    before, full = path.read_bytes(), sink("jsonl", path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            await full.write([event(number) for number in range(records)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    await full.write([event(2)])
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["id"], second["id"]) == ("hall-1", "hall-2")


def test_the_lines_of_a_large_file_are_counted_in_little_memory(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes((b"x" * 1_023 + b"\n") * 16_384)
    tracemalloc.start()
    try:
        assert sink("jsonl", path)._count(path) == 16_384
        assert tracemalloc.get_traced_memory()[1] < 4 * text_files.PIECE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", ["{name}", "{0}", "a{"])
def test_a_path_with_other_braces_is_refused(path):
    with pytest.raises(Unprocessable, match="may hold"):
        FileSettings(path=path)


def test_a_path_may_be_plain_or_hold_a_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = text_files.file_of("~/a.csv", source="x", at_ms=0)
    assert found == tmp_path / "a.csv"
    assert text_files.file_of("{source}/%Y", source="x", at_ms=0) == Path("x/1970")
