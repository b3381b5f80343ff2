"""`timbre monitor` as a process: killed, started again, and ended as told."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager

from service.monitor.config import MonitorSettings, SourceSettings
from service.monitor.monitor import monitor
from service.monitor.report.command import main as report
from tests.service.archive.test_database import TOTALS, rows
from tests.service.conftest import tone, wav

FILE = """
artefacts = {artefacts!r}
[[sources]]
name = "hall"
input = "file:{sound}"
loop = true
model = "toy"
[[sources]]
name = "once"
input = "file:{sound}"
model = "toy"
[[sources]]
name = "gone"
input = "file:none.wav"
model = "toy"
[[sinks]]
kind = "jsonl"
path = "all.jsonl"
[[sinks]]
kind = "sqlite"
path = "a.sqlite"
[[sinks]]
kind = "csv"
path = "/proc/none/a.csv"
"""


@contextmanager
def started(folder):
    """A monitor, which is killed in any case."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli.main", "monitor", str(folder / "m.toml")],
        cwd=folder,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def told(folder, what):
    """Wait until the JSON lines hold so many events of the looped source."""
    path, end = folder / "all.jsonl", time.monotonic() + 120
    while time.monotonic() < end:
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        events = [each for each in found if (each["type"], each["source"]) == ("event", "hall")]
        if len(events) >= what:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def test_a_monitor_that_is_killed_goes_on_and_its_minutes_are_full(artefacts, tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(tone(3)))
    (tmp_path / "m.toml").write_text(
        FILE.format(artefacts=str(artefacts), sound=tmp_path / "a.wav")
    )
    with started(tmp_path) as first:
        told(tmp_path, 1)
        first.kill()
    with started(tmp_path) as second:
        before = len(told(tmp_path, 1))
        told(tmp_path, 2)
        second.send_signal(signal.SIGTERM)
        log = second.stderr.read()
        assert second.wait() == 0
    found = told(tmp_path, 2)
    assert len(found) > before
    # What was under way at the end is told to its end.
    ended = {each["id"] for each in found if each["type"] == "event" and each["end"]}
    begun = [each["id"] for each in found if each["type"] == "event" and not each["end"]]
    assert begun[-1] in ended
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as database:
        totals = database.execute(TOTALS).fetchall()
        sources = database.execute("SELECT DISTINCT source FROM coverage").fetchall()
    assert set(totals) == {(60_000,)}
    assert {name for (name,) in sources} == {"hall", "once", "gone"}
    assert log.count("sink failed") == 1
    assert log.count("source fails source=gone") == 1
    assert "source ended source=once" in log
    # No sound is kept.
    assert [each.name for each in tmp_path.glob("*.wav")] == ["a.wav"]
    assert {each.suffix for each in tmp_path.iterdir()} == {".wav", ".toml", ".jsonl", ".sqlite"}


async def test_what_one_machine_hears_is_in_the_archive_of_another(serve, tmp_path):
    central = await serve(archive=str(tmp_path / "central.sqlite"))
    (tmp_path / "a.wav").write_bytes(wav(tone(5)))
    sources = [SourceSettings(name="hall", input=f"file:{tmp_path / 'a.wav'}", model="toy")]
    sinks = [
        {"kind": "sqlite", "path": str(tmp_path / "here.sqlite")},
        {"kind": "timbre", "url": central.url, "node": "attic"},
    ]
    settings = MonitorSettings(sources=sources, sinks=sinks, server=central.url)
    await monitor(settings, asyncio.Event())
    for query, count in (
        ('SELECT id, label, start, "end", peak, mean, model, version FROM events', 1),
        ("SELECT minute, heard_ms, silent_ms, clipped_ms, not_connected_ms FROM coverage", 1),
    ):
        here = rows(tmp_path / "here.sqlite", query)
        there = rows(tmp_path / "central.sqlite", query)
        assert len(here) >= count
        assert [tuple(str(value).removeprefix("attic.") for value in row) for row in there] == [
            tuple(map(str, row)) for row in here
        ]
    page = tmp_path / "report.html"
    assert report([str(tmp_path / "central.sqlite"), "--out", str(page)]) == 0
    assert "attic.hall" in page.read_text()
