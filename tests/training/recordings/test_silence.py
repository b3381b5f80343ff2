"""Noise and silence as clips without a label."""

import numpy as np

from training.common.labels import RATE
from training.recordings import silence
from training.recordings.audio import read


def test_nine_sources_without_labels_together_last_as_long_as_asked(tmp_path):
    found = silence.clips(180.0, tmp_path)
    assert len({clip.source for clip in found}) == len(found) == 9
    assert not any(clip.labels for clip in found)
    assert sum(clip.seconds for clip in found) == 180.0
    assert [len(read(clip.path, rate=RATE)) / RATE for clip in found] == [20.0] * 9


def test_each_is_made_once_and_the_same_everywhere(tmp_path):
    first = silence.clips(1.0, tmp_path / "a")
    made = {clip.path: clip.path.stat().st_mtime_ns for clip in first}
    assert {
        clip.path: clip.path.stat().st_mtime_ns for clip in silence.clips(1.0, tmp_path / "a")
    } == made
    again = silence.clips(1.0, tmp_path / "b")
    assert [one.path.read_bytes() for one in first] == [one.path.read_bytes() for one in again]


def test_sources_differ_and_none_is_only_silence(tmp_path):
    heard = [read(clip.path, rate=RATE) for clip in silence.clips(180.0, tmp_path)]
    assert len({sound.tobytes() for sound in heard}) == 9
    assert all(np.abs(sound).max() > 0.01 for sound in heard)


def test_a_source_lasts_an_hour_at_the_most(monkeypatch, tmp_path):
    monkeypatch.setattr(silence, "MOST", 3)
    assert [clip.seconds for clip in silence.clips(1e9, tmp_path)] == [6.0] * 9
