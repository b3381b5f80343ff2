"""How well a served model tells events of performances, by what its labels' rise is set to."""

from benchmarks.reporting import results
from tests.helpers.note_folder import write_notes
from tools import event_figures


def test_each_part_has_a_row_for_each_rise(monkeypatch, tmp_path):
    folder = write_notes(tmp_path / "notes")
    monkeypatch.setattr(event_figures, "PERFORMANCES", 1)
    made = tmp_path / "events.json"
    words = [
        "instruments",
        str(folder),
        "--trained-on",
        str(folder),
        "--rise",
        "0",
        "--rise",
        "1",
    ]
    event_figures.main([*words, "--json", str(made)])
    report = results.read(made)
    assert [(row["what"], row["name"]) for row in report["rows"]] == [
        *(("never trained on", "rise 0"), ("never trained on", "rise 1")),
        *(("trained on", "rise 0"), ("trained on", "rise 1")),
    ]
    assert set(report["rows"][0]) == set(event_figures.HEADS)
    assert "instruments FOLDER --trained-on FOLDER --rise 0 --rise 1" in report["command"]
