"""How late the events of a monitor are is told of what a broker sent, and written as a result."""

import io
import json

import pytest

from benchmarks.reporting import results
from tools import monitor_delay

BEGAN_MS = 1_780_000_000_000
PARTS = json.loads(monitor_delay.QUARTET.read_text(encoding="utf-8"))["instruments"]


def line(label, seconds, state="onset"):
    """An event of the example that arrives so many seconds after the recording began."""
    event = {"id": f"example-{BEGAN_MS}-1", "label": label, "state": state}
    return f"{BEGAN_MS / 1000 + seconds:.3f} {json.dumps(event)}\n"


def test_each_label_and_all_have_a_row(monkeypatch, tmp_path):
    first, second = PARTS[0], PARTS[1]
    lines = [
        line(first["label"], first["start"] + 0.5),
        line(first["label"], first["start"] + monitor_delay.LENGTH_S + 1.5),
        line(first["label"], first["start"] + 0.7, state="offset"),
        line(second["label"], second["start"] + 1.0),
        line(second["label"], second["start"] + monitor_delay.NEAR_S + 0.1),
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines)))
    made = tmp_path / "delay.json"
    assert monitor_delay.main(["--json", str(made)]) == 0
    report = results.read(made)
    rows = {row["what"]: row for row in report["rows"]}
    ours = rows[f"{first['label']}, since it began"]
    assert (ours["least_s"], ours["median_s"], ours["most_s"]) == pytest.approx((0.5, 1.0, 1.5))
    assert rows[f"{second['label']}, since it began"]["most_s"] == pytest.approx(1.0)
    assert rows["all, since the window that told it"]["most_s"] < monitor_delay.HOP_S
    assert report["settings"] == {"onsets": 3}


def test_without_an_onset_there_is_no_result(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(line("violin", 1, state="offset")))
    assert monitor_delay.main(["--json", str(tmp_path / "delay.json")]) == 1
    assert "none of the lines" in capsys.readouterr().err
    assert not (tmp_path / "delay.json").exists()
