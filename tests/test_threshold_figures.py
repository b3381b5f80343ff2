"""What other thresholds of a served model cost, on the same windows for each factor."""

import pytest

from benchmarks.reporting import results
from tests.training.recordings.conftest import write
from tools import threshold_figures

PITCHES = {"violin": 660, "flute": 880}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Notes of two labels, which no instrument plays."""
    folder = tmp_path_factory.mktemp("notes") / "player"
    for label, hertz in PITCHES.items():
        for number in range(3):
            path = folder / label / f"{label}_A{number + 3}_1_forte_normal.wav"
            write(path, hertz=hertz * 2 ** (number / 12), seconds=2)
    return folder


def test_each_draw_has_a_row_for_each_factor(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(threshold_figures, "DRAWN", {"note": 3, "solo": 3, "mix": 6})
    made = tmp_path / "thresholds.json"
    words = ["instruments", str(folder), "--factor", "1", "--factor", "0.01", "--label", "flute"]
    threshold_figures.main([*words, "--seed", "11", "--seed", "12", "--json", str(made)])
    report = results.read(made)
    assert [(row["what"], row["name"]) for row in report["rows"]] == [
        *(("draw 11", "times 1"), ("draw 11", "times 0.01")),
        *(("draw 12", "times 1"), ("draw 12", "times 0.01")),
    ]
    usual, low = report["rows"][:2]
    assert low["nothing_single"] < usual["nothing_single"] or low["wrong_single"] > 0
    assert report["settings"]["labels"] == ["flute"]
    assert "instruments FOLDER --factor 1" in report["command"]
