"""Sheets of windows: a tick lies where its frequency is, names fit any file system."""

import numpy as np
import pytest

from features.extract import log_mel
from training.common.labels import RATE
from training.data_cli.hear import LONGEST, TICKS, folder_name, height_of


@pytest.mark.parametrize("hertz", [300, *TICKS])
def test_a_tick_lies_on_the_band_in_which_a_tone_of_its_frequency_is(hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE).astype(np.float32)
    band = int(log_mel(tone).mean(axis=1).argmax())
    # A band's row reaches from its number to the next; the tone may be on the border of two.
    assert band - 0.5 <= height_of(hertz) <= band + 1.5


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ((), "01-nothing"),
        (("crow", "a/b"), "01-crow-a_b"),
        (("x" * (LONGEST - 3),), "01-" + "x" * (LONGEST - 3)),
        (("x" * (LONGEST - 2),), "01-" + "x" * (LONGEST - 3)),
        (("ä" * 150,), "01-" + "ä" * ((LONGEST - 3) // 2)),
        (("x" * (LONGEST - 5), "y", "z"), "01-" + "x" * (LONGEST - 5) + "-y"),
    ],
)
def test_a_folder_is_named_by_its_labels_as_far_as_file_systems_allow(labels, name, tmp_path):
    assert folder_name(1, labels) == name
    (tmp_path / name).mkdir()
