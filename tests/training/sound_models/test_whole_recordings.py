"""Whole recordings: how they are cut, and what is made of the scores of their windows."""

import numpy as np
import pytest
import soundfile

from features.config import DEFAULT
from features.extract import extract_many
from training.common.labels import LABELS, RATE
from training.notes.library import library_of_folder
from training.sound_models import whole_recordings

WINDOW = 2 * RATE


class Listener:
    """Knows a flute by how loud its window is: the peak of the spectrogram in dB decides."""

    def __init__(self, quieter):
        self.quieter = quieter

    def scores(self, tensors):
        """Return 1 for the flute where it is loud, for the quieter label where it is not."""
        found = np.zeros((len(tensors), len(LABELS)), np.float32)
        loud = np.asarray(tensors).max(axis=(1, 2)) > 0
        found[loud, LABELS.index("flute")] = 1
        found[~loud, LABELS.index(self.quieter)] = 1
        return found


def tone(seconds, level=0.5):
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)).astype(
        np.float32
    )


@pytest.fixture
def library(tmp_path):
    (tmp_path / "here" / "flute").mkdir(parents=True)
    for number, seconds in enumerate((0.5, 3.5)):
        soundfile.write(tmp_path / "here" / "flute" / f"{number}.wav", tone(seconds), RATE)
    return library_of_folder(tmp_path / "here", tmp_path / "cache")


@pytest.mark.parametrize(
    ("samples", "windows"),
    [
        (1, 1),
        (WINDOW, 1),
        (WINDOW * 3 // 2 - 1, 1),
        (WINDOW * 3 // 2, 2),
        (2 * WINDOW, 2),
        (5 * WINDOW, 5),
    ],
)
def test_a_rest_makes_a_window_if_it_fills_half_of_it_or_is_alone(samples, windows):
    sound = np.arange(1, samples + 1, dtype=np.float32)
    cut = whole_recordings.windows_of(sound)
    assert [len(window) for window in cut] == [WINDOW] * windows
    kept = np.concatenate(cut)[:samples]
    np.testing.assert_array_equal(kept, sound[: len(kept)])
    assert not np.concatenate(cut)[samples:].any()


def test_a_recording_has_the_mean_score_of_its_windows():
    sounds = [np.concatenate([tone(2), tone(2, 1e-4), tone(2)]), tone(2, 1e-4)]
    scores = whole_recordings.clip_scores(Listener("oboe"), sounds, kind="log_mel")
    assert scores[:, LABELS.index("flute")].tolist() == pytest.approx([2 / 3, 0])
    assert scores[:, LABELS.index("oboe")].tolist() == pytest.approx([1 / 3, 1])


def test_notes_and_solos_are_each_judged_once_and_the_same_again(library):
    found = whole_recordings.evaluate(Listener("oboe"), library, kind="log_mel", seed=1)
    assert found["recordings"] == 2 + whole_recordings.SOLOS
    assert found["top1_recording_note"] == found["top1_recording_solo"] == 1.0
    assert whole_recordings.evaluate(Listener("oboe"), library, kind="log_mel", seed=1) == found


def test_a_wrong_answer_counts_against_the_recording(library):
    class Deaf(Listener):
        def scores(self, tensors):
            return np.roll(super().scores(tensors), 1, axis=1)

    found = whole_recordings.evaluate(Deaf("oboe"), library, kind="log_mel", seed=1)
    assert found["top1_recording_note"] == found["top1_recording_solo"] == 0.0


def test_notes_are_whole_and_solos_last_ten_seconds(library):
    rng = np.random.default_rng(0)
    lengths = sorted(len(note) / RATE for note in whole_recordings.notes(library, "flute", rng))
    assert lengths == pytest.approx([0.5, 3.5], abs=0.05)
    for solo in whole_recordings.solos(library, "flute", rng):
        assert len(solo) == whole_recordings.SECONDS * RATE
        assert np.abs(solo).max() == pytest.approx(1)


def test_an_ensemble_is_told_by_the_labels_that_play_and_those_that_do_not(tmp_path):
    soundfile.write(tmp_path / "one.wav", np.concatenate([tone(3), tone(2, 1e-4)]), RATE)
    limits = np.full(len(LABELS), 0.5, np.float32)
    found = whole_recordings.ensemble(
        tmp_path, ["flute"], Listener("oboe"), kind="log_mel", thresholds=limits
    )
    assert (found["windows"], found["some_right_label"], found["some_wrong_label"]) == (
        4,
        0.75,
        0.25,
    )
    assert found["share_by_label"]["flute"] == 0.75


@pytest.mark.parametrize("block", [1, 3, whole_recordings.BLOCK])
def test_live_scores_are_those_of_the_windows_of_a_stream(monkeypatch, block):
    monkeypatch.setattr(whole_recordings, "BLOCK", block)
    sound = np.concatenate([np.zeros(4 * RATE, np.float32), tone(4)])
    hop = DEFAULT.live_hop(0.5)
    scores = whole_recordings.live_scores(Listener("horn"), sound, kind="log_mel")
    starts = range(0, len(sound) - WINDOW + 1, hop)
    tensors = extract_many([sound[at : at + WINDOW] for at in starts], kind="log_mel")
    assert np.array_equal(scores, Listener("horn").scores(tensors))
    assert 0 < scores[:, LABELS.index("flute")].sum() < len(starts)
