"""Events near each other share a clip, and a page has no more than it can carry."""

import base64
from pathlib import Path

import numpy as np
import pytest

from features.decode import decode
from service.rehearsal import clips
from service.rehearsal.clips import LENGTH_S, RATE, clip_of, cut
from service.rehearsal.compare import Heard
from tests.service.conftest import tone, wav


def event(start):
    return Heard("tone", start, start + 1, 0.9)


@pytest.mark.parametrize(
    ("start", "number", "at"), [(0, 0, 0), (1, 0, 0), (4.9, 0, 3.9), (5, 1, 0), (9.5, 2, 0.5)]
)
def test_a_clip_begins_a_second_before_its_event(start, number, at):
    key, second = clip_of(Path("a"), event(start))
    assert key == (Path("a"), number)
    assert second == pytest.approx(at)


def test_a_clip_is_the_sound_around_its_events(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.concatenate([tone(8), 0 * tone(10)])))
    found = cut({path: [event(5.0), event(5.5), event(14)]})
    assert list(found) == [(path, 1), (path, 3)]
    first, second = (
        decode(base64.b64decode(url.partition(",")[2]), sample_rate=RATE) for url in found.values()
    )
    assert len(first) == pytest.approx(LENGTH_S * RATE, rel=0.02)
    assert np.abs(first[: 3 * RATE]).max() > 0.2
    assert np.abs(second).max() < 0.01


@pytest.mark.parametrize("most", [0, 1, 2])
def test_there_are_never_too_many(most, tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "MOST", most)
    paths = [tmp_path / name for name in ("a.wav", "b.wav")]
    for path in paths:
        path.write_bytes(wav(tone(1)))
    assert [key[0] for key in cut({path: [event(0)] for path in paths})] == paths[:most]
