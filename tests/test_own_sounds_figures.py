"""How well models of own recordings do, by recordings of each label."""

import numpy as np
import pytest

from benchmarks.reporting import results
from tests.training.recordings.conftest import write
from tests.training.sound_models.helpers.filterbank import BANDS, filterbank
from tools.own_sounds_figures import COLUMNS, drawn, main, windows_of
from training.recordings.load import load
from training.recordings.settings import CollectionSpec, WindowSpec
from training.sound_models import embedding_heads


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three players, two labels, two recordings of three windows each."""
    folder = tmp_path_factory.mktemp("own")
    for player in range(3):
        for label, hertz in (("high", 2000), ("low", 200)):
            for number in range(2):
                path = folder / "sounds" / f"player{player}" / label / f"{number}.wav"
                write(path, hertz=hertz + 20 * player + 7 * number, seconds=4)
    filterbank(folder / "bands.onnx", window=44_100)
    return folder


def test_no_window_of_the_source_left_out_is_learnt_and_recordings_are_as_many_as_asked(folder):
    collection = load(CollectionSpec(path=str(folder / "sounds")))
    windows = windows_of(collection, str(folder / "bands.onnx"))
    assert windows.features.shape == (36, 26)
    assert windows.embeddings.shape == (36, BANDS)
    # Numbered in their order, so that each run draws the same.
    assert windows.recording.tolist() == np.repeat(np.arange(12), 3).tolist()
    for count in (1, 3):
        rows = drawn(windows, 1, count, seed=0)
        assert not (windows.source[rows] == 1).any()
        for label in range(2):
            here = rows[windows.label[rows] == label]
            assert len(np.unique(windows.recording[here])) == count
            assert len(here) == 3 * count


def test_a_recording_shorter_than_any_window_is_left_out(folder, tmp_path):
    for number, seconds in enumerate((0.9 * WindowSpec().shortest, 4)):
        path = tmp_path / "sounds" / "player0" / "high" / f"{number}.wav"
        write(path, hertz=2000, seconds=seconds)
    collection = load(CollectionSpec(path=str(tmp_path / "sounds")))
    windows = windows_of(collection, str(folder / "bands.onnx"))
    assert len(windows.features) == len(windows.embeddings) == 3


def test_a_row_has_every_model(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(embedding_heads, "STRENGTHS", (0.1,))
    monkeypatch.setattr(embedding_heads, "DECAYS", ())
    words = [str(folder / "sounds"), "--backbone", str(folder / "bands.onnx")]
    words += ["--backbone", "timbre-sound"]
    made = tmp_path / "own-sounds.json"
    main([*words, "--count", "2", "--draws", "1", "--json", str(made)])
    report = results.read(made)
    assert [list(row) for row in report["rows"]] == 2 * [["what", *COLUMNS]]
    assert [row["what"] for row in report["rows"]] == ["2, bands", "2, timbre-sound"]
    # The same recordings.
    assert len({row["forest"] for row in report["rows"]}) == 1
    # Pitches this far apart are told by the levels of bands.
    assert all(row["chosen"] > row["majority"] for row in report["rows"])
    named = "FOLDER --backbone bands.onnx --backbone timbre-sound --count 2 --draws 1"
    assert named in report["command"]
    assert str(folder) not in made.read_text()
