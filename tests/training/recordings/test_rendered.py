"""Made collections are clips with intervals, labels and sources like any other."""

import mido
import numpy as np
import pytest

from training.notes.window_set import Spec, build
from training.recordings import audio
from training.recordings.collection import CollectionError, Interval
from training.recordings.load import load
from training.recordings.settings import CollectionSpec


def write_score(path, parts):
    """parts: program (from 0) to notes (start and end in seconds, pitch)."""
    tracks = []
    for channel, (program, notes) in enumerate(parts.items()):
        events = [
            (t, kind, pitch)
            for start, end, pitch in notes
            for t, kind in ((start, "note_on"), (end, "note_off"))
        ]
        track, now = (
            mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)]),
            0,
        )
        for seconds, kind, pitch in sorted(events):
            tick = round(seconds * 960)
            track.append(
                mido.Message(kind, channel=channel, note=pitch, velocity=80, time=tick - now)
            )
            now = tick
        tracks.append(track)
    path.parent.mkdir(exist_ok=True)
    mido.MidiFile(ticks_per_beat=480, tracks=tracks).save(path)


def test_a_score_and_a_font_give_sound_and_intervals(small_font, tmp_path):
    write_score(tmp_path / "scores" / "duo.mid", {73: [(0, 1, 76), (2, 3, 79)], 0: [(1, 6, 60)]})
    spec = CollectionSpec(
        kind="scores",
        path=str(tmp_path / "scores"),
        fonts=(str(small_font),),
        into=str(tmp_path / "made"),
        longest=4,
    )
    (clip,) = load(spec).clips
    assert clip.source == "font-timgm6mb"
    assert clip.labels == ("flute", "piano")
    assert clip.intervals == (
        Interval(0, 1, "flute"),
        Interval(1, 4, "piano"),
        Interval(2, 3, "flute"),
    )
    heard = audio.read(clip.path, rate=22_050)
    assert len(heard) == 4 * 22_050
    assert np.abs(heard).max() == pytest.approx(10 ** (-3 / 20), rel=0.01)
    stamp = clip.path.stat().st_mtime_ns
    assert load(spec).clips[0].path.stat().st_mtime_ns == stamp


def test_what_a_font_cannot_play_is_a_problem(small_font, tmp_path):
    write_score(tmp_path / "scores" / "good.mid", {73: [(0, 1, 76)]})
    write_score(tmp_path / "scores" / "oboe.mid", {68: [(0, 1, 76)]})
    write_score(tmp_path / "scores" / "drums.mid", {118: [(0, 1, 76)]})
    (tmp_path / "scores" / "bad.mid").write_bytes(b"no")
    found = load(
        CollectionSpec(
            kind="scores",
            path=str(tmp_path / "scores"),
            fonts=(str(small_font),),
            into=str(tmp_path),
        )
    )
    why = {problem.path.name: problem.why for problem in found.problems}
    assert why["oboe.mid"] == "TimGM6mb.sf2 has no oboe of its own"
    assert "no part" in why["drums.mid"]
    assert "cannot be read as a score" in why["bad.mid"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"fonts": ("none.sf2",)}, "no sound font none.sf2"), ({}, "holds no scores")],
)
def test_without_scores_or_fonts_nothing_can_be_played(tmp_path, settings, message):
    with pytest.raises(CollectionError, match=message):
        load(CollectionSpec(kind="scores", path=str(tmp_path), **settings))


def test_mixed_windows_are_clips_and_those_of_two_sources_are_left_out(notes_folder, tmp_path):
    (tmp_path / "two").symlink_to(notes_folder)
    counts = {"note": 1, "solo": 1, "mix": 3, "score": 0, "across": 2, "silence": 1, "noise": 1}
    windows = build(
        Spec(folders=(notes_folder, tmp_path / "two"), **counts), tmp_path / "cache", seed=1, jobs=1
    )
    found = load(CollectionSpec(kind="mixtures", path=str(windows.folder)))
    assert found.sources == ("noise-a", "noise-b", "toy", "two")
    assert [problem.why for problem in found.problems] == [
        "2 windows of several sources, which would tie these together"
    ]
    clip = found.clips[0]
    heard = audio.read(clip.path, clip.inner, rate=22_050)
    assert np.array_equal(heard, windows.read([int(clip.inner)])[0])
    assert set(found.labels) == {"flute", "piano", "violin"}


def test_another_folder_holds_no_windows(tmp_path):
    with pytest.raises(CollectionError, match="holds no windows"):
        load(CollectionSpec(kind="mixtures", path=str(tmp_path)))


def test_a_score_that_changes_and_keeps_its_size_is_played_again(small_font, tmp_path):
    score = tmp_path / "scores" / "solo.mid"
    spec = CollectionSpec(
        kind="scores", path=str(score.parent), fonts=(str(small_font),), into=str(tmp_path / "into")
    )
    found = []
    for pitch in (60, 72, 60):
        write_score(score, {73: [(0, 1, pitch)]})
        (clip,) = load(spec).clips
        found.append((score.stat().st_size, clip.path.read_bytes()))
    first, other, again = found
    assert first[0] == other[0]
    assert first[1] != other[1]
    assert again == first
