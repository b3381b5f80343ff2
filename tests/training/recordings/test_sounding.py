"""Windows by activity: recordings are cut where something sounds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from training.common.labels import RATE
from training.recordings.collection import Clip, CollectionError, Interval, collect
from training.recordings.settings import WindowSpec
from training.recordings.sounding import sounding, stretches

FRAME_S = 512 / RATE
SPEC = WindowSpec(length=1.0)


def sound(*parts):
    """Seconds of a tone (positive) and of silence (negative), one after the other."""
    return np.concatenate(
        [
            np.sin(np.arange(round(abs(part) * RATE)) / 5) * (part > 0)
            for part in parts
        ]
    ).astype(np.float32)  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((3.0,), [(0, 3)]),
        ((-2, 3, -2), [(2, 5)]),
        # A pause of a window's length keeps together, a longer one parts.
        ((1.5, -0.9, 1.5), [(0, 3.9)]),
        ((1.5, -1.2, 1.5), [(0, 1.5), (2.7, 4.2)]),
        # What is shorter than a window has as much around it as there is.
        ((-3, 0.5, -3), [(2.75, 3.75)]),
        ((0.5, -3), [(0, 1)]),
        ((-3, 0.5), [(2.5, 3.5)]),
        ((0.4,), [(0, 0.4)]),
        # A click is no event, unless there is nothing else.
        ((-3, 0.04, -3, 1.5), [(6.04, 7.54)]),
        ((-3, 0.04, -3), [(2.52, 3.52)]),
        ((-3,), []),
    ],
)
def test_stretches_begin_and_end_with_the_sound(parts, expected):
    found = stretches(sound(*parts), 1.0, least=0.1)
    assert len(found) == len(expected)
    assert np.allclose(np.array(found), np.array(expected), atol=2 * FRAME_S)


def levels(*parts):
    """(seconds, peak) of a tone, one after the other."""
    return np.concatenate([peak * sound(seconds) for seconds, peak in parts])


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # Where all are short, the loudest stays, not the longest.
        ([(3, 0), (0.06, 0.9), (3, 0), (0.08, 0.2), (3, 0)], [2.53]),
        ([(3, 0), (0.08, 0.2), (3, 0), (0.06, 0.9), (3, 0)], [5.61]),
        ([(3, 0), (0.08, 0.9), (3, 0), (0.06, 0.2), (3, 0)], [2.54]),
        # Where one is not, it stays, however loud the clicks are.
        ([(3, 0), (0.08, 0.9), (3, 0), (0.12, 0.2), (3, 0)], [5.64]),
        ([(3, 0), (0.12, 0.9), (3, 0), (0.12, 0.2), (3, 0)], [2.56, 5.68]),
    ],
)
def test_of_clicks_alone_the_loudest_is_kept(parts, expected):
    found = stretches(levels(*parts), 1.0, least=0.1)
    assert np.allclose([begin for begin, _ in found], expected, atol=2 * FRAME_S)


@pytest.fixture
def write(tmp_path):
    def written(name, *parts):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, sound(*parts), RATE)
        return path

    return written


def test_each_stretch_is_a_clip_of_the_same_label_and_source(write):
    path = write("a.wav", -2, 3, -2, 2)
    clip = Clip(path, 0.0, 9.0, ("flute",), "player")
    found = sounding(collect([clip], []), SPEC)
    assert [(one.labels, one.source) for one in found.clips] == [(("flute",), "player")] * 2
    edges = [(one.start, one.end) for one in found.clips]
    assert np.allclose(edges, [(2, 5), (7, 9)], atol=2 * FRAME_S)


def test_a_clip_is_searched_on_its_own_clock(write):
    path = write("a.wav", 2, -3, 2)
    found = sounding(collect([Clip(path, 3.0, 7.0, ("a",), "s")], []), SPEC)
    (one,) = found.clips
    assert np.allclose((one.start, one.end), (5, 7), atol=2 * FRAME_S)


def test_background_and_clips_that_know_their_onsets_stay_as_they_are(write):
    path = write("a.wav", -2, 3)
    background = Clip(path, 0.0, 5.0, (), "s")
    annotated = Clip(path, 0.0, 4.0, ("a",), "s", (Interval(2.0, 4.0, "a"),))
    assert set(sounding(collect([background, annotated], []), SPEC).clips) == {
        background,
        annotated,
    }


def test_silence_is_listed_and_the_others_are_used(write):
    clips = [Clip(write(name, part), 0.0, 3.0, ("a",), name) for name, part in
             (("quiet.wav", -3), ("loud.wav", 3))]  # fmt: skip
    found = sounding(collect(clips, []), SPEC)
    assert [one.path.name for one in found.clips] == ["loud.wav"]
    assert [(one.path.name, one.why) for one in found.problems] == [
        ("quiet.wav", "nothing sounds in it")
    ]
    with pytest.raises(CollectionError, match=r"nothing to train on .*quiet\.wav: nothing sounds"):
        sounding(collect(clips[:1], []), SPEC)


def test_what_cannot_be_read_is_left_for_the_table_to_name():
    clip = Clip(Path("none.wav"), 0.0, 3.0, ("a",), "s")
    assert sounding(collect([clip], []), SPEC).clips == (clip,)


def test_a_recording_of_many_clips_is_decoded_once(write, decoded):
    path = write("a.wav", *[2, -1] * 4)
    clips = [Clip(path, 3.0 * n, 3.0 * n + 3, ("a",), "s") for n in range(4)]
    other = Clip(write("b.wav", 2), 0.0, 2.0, ("a",), "s")
    found = sounding(collect([*clips, other], []), SPEC)
    assert len(found.clips) == 5
    assert decoded == ["a.wav", "b.wav"]


def test_the_loudest_is_that_of_the_clip_not_of_the_recording(tmp_path):
    sf.write(tmp_path / "a.wav", levels((2, 0.9), (2, 0.002)), RATE)
    clip = Clip(tmp_path / "a.wav", 2.0, 4.0, ("a",), "s")
    assert sounding(collect([clip], []), SPEC).clips == (clip,)
