"""Detections by day: heard, none heard, and nobody listened are three things."""

import csv
import io
from zoneinfo import ZoneInfo

from service.monitor.report.archive import read_archives
from service.monitor.report.days import days_csv
from tests.service.monitor.report.test_archive import DAY, HOUR, event, heard, written


async def table(path, *records, labels=()):
    archive = read_archives([await written(path, *records)], zone=ZoneInfo("UTC"))
    return list(csv.DictReader(io.StringIO(days_csv(archive, labels))))


async def test_none_heard_is_0_and_nobody_listening_is_empty(tmp_path):
    rows = await table(
        tmp_path / "a",
        heard(DAY),
        [event(DAY, 3)],
        heard(DAY + 24 * HOUR, 1, heard_ms=1, not_connected_ms=59_999),
        heard(DAY + 48 * HOUR, 1, silent_ms=30_000, dropped_ms={"late": 30_000}),
    )
    assert [row["detected"] for row in rows] == ["1", "0", ""]
    assert rows[2]["silent_s"] == "30.000"
    assert rows[2]["dropped_s"] == "30.000"


async def test_every_source_has_every_label_also_those_that_it_never_heard(tmp_path):
    rows = await table(
        tmp_path / "a",
        heard(DAY),
        heard(DAY, source="yard"),
        [event(DAY, 3), event(DAY, 1, source="yard", label="horn")],
        labels=["oboe"],
    )
    found = {(row["source"], row["label"]): row["detected"] for row in rows}
    assert found == {
        (source, label): str(int((source, label) in {("hall", "flute"), ("yard", "horn")}))
        for source in ("hall", "yard")
        for label in ("flute", "horn", "oboe")
    }


async def test_labels_are_text_to_a_spreadsheet(tmp_path):
    nasty = '=1+1 "a",\n\tb'
    (row,) = await table(tmp_path / "a", heard(DAY), [event(DAY, 3, label=nasty)])
    assert row["label"] == "'" + nasty
