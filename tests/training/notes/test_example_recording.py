import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from training.common.errors import MaterialError
from training.common.labels import RANGES
from training.notes.example_recording import PIECE, SECONDS, main, score, truth

EXAMPLE = Path(__file__).parents[3] / "examples" / "quartet.ogg"


def test_the_example_is_twenty_seconds_and_small():
    info = sf.info(EXAMPLE)
    assert (info.duration, info.samplerate, info.channels) == (SECONDS, 44_100, 1)
    assert EXAMPLE.stat().st_size <= 400_000


def test_the_truth_beside_it_is_that_of_the_piece():
    assert json.loads(EXAMPLE.with_suffix(".json").read_text())["instruments"] == truth()


def test_it_is_never_silent_while_something_plays():
    sound, rate = sf.read(EXAMPLE)
    seconds = np.sqrt(np.mean(sound.reshape(20, rate) ** 2, axis=1))
    assert (seconds > 0.02).all()


def test_every_part_stays_in_range_and_ends_in_time():
    for label in PIECE:
        low, high = RANGES[label]
        assert all(low <= note.pitch <= high for note in score(label))
        assert score(label)[-1].onset + score(label)[-1].duration <= SECONDS


def test_without_the_font_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("training.notes.example_recording.installed_fonts", lambda: ())
    with pytest.raises(MaterialError, match="apt install"):
        main([str(tmp_path / "x.ogg")])
