"""How well a served model tells events of performances, by what its labels' rise is set to."""

import pytest

from benchmarks.reporting import results
from tests.training.recordings.conftest import write
from tools import event_figures

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


def test_each_part_has_a_row_for_each_rise(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(event_figures, "PERFORMANCES", 1)
    made = tmp_path / "events.json"
    words = ["instruments", str(folder), "--trained-on", str(folder), "--rise", "0", "--rise", "1"]
    event_figures.main([*words, "--json", str(made)])
    report = results.read(made)
    assert [(row["what"], row["name"]) for row in report["rows"]] == [
        *(("never trained on", "rise 0"), ("never trained on", "rise 1")),
        *(("trained on", "rise 0"), ("trained on", "rise 1")),
    ]
    assert set(report["rows"][0]) == set(event_figures.HEADS)
    assert "instruments FOLDER --trained-on FOLDER --rise 0 --rise 1" in report["command"]
