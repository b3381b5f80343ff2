"""What other thresholds of a served model cost, on the same windows for each factor."""

from benchmarks.reporting import results
from tests.helpers.note_folder import write_notes
from tools import threshold_figures


def test_each_draw_has_a_row_for_each_factor(monkeypatch, tmp_path):
    folder = write_notes(tmp_path / "notes")
    monkeypatch.setattr(threshold_figures, "DRAWN", {"note": 3, "solo": 3, "mix": 6})
    made = tmp_path / "thresholds.json"
    words = [
        "instruments",
        str(folder),
        "--factor",
        "1",
        "--factor",
        "0.01",
        "--label",
        "flute",
    ]
    threshold_figures.main([*words, "--seed", "11", "--seed", "12", "--json", str(made)])
    report = results.read(made)
    assert [(row["what"], row["name"]) for row in report["rows"]] == [
        *(("draw 11", "times 1"), ("draw 11", "times 0.01")),
        *(("draw 12", "times 1"), ("draw 12", "times 0.01")),
    ]
    usual, low = report["rows"][:2]
    # Tones are no instrument, but for the threshold of the one label that is lowered.
    assert (usual["nothing_single"], usual["wrong_single"]) == (1, 0)
    assert low["nothing_single"] == 0
    assert 0 < low["wrong_single"] < 1
    assert report["settings"]["labels"] == ["flute"]
    assert "instruments FOLDER --factor 1" in report["command"]
