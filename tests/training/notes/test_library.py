import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.library import LOUDNESS, build_library, library_of_folder, pitch_of, tidy

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "pitch"),
    [
        ("flute_Gs6_15_piano_normal", 92),
        ("double-bass_A1_05_mezzo-piano_arco-normal", 33),
        ("Bb2-soft", 46),
        ("C4", 60),
        ("A#3", 58),
        ("C-1", 0),
        ("074_14", 74),
    ],
)
def test_a_file_name_tells_the_pitch(name, pitch):
    assert pitch_of(name) == pitch


@pytest.mark.parametrize("name", ["flute", "Gong", "take12", "H4", "recording_3"])
def test_other_names_tell_no_pitch(name):
    assert np.isnan(pitch_of(name))


def test_silence_before_a_note_is_cut_and_every_note_is_equally_loud(make_tone):
    for gain in (0.01, 1.0):
        sound = np.concatenate(
            [np.zeros(RATE, np.float32), gain * make_tone(69, 0.8), np.zeros(RATE, np.float32)]
        )
        note = tidy(sound)
        assert abs(len(note) / RATE - 0.8) < 0.1
        assert np.sqrt(np.mean(note[1000:9000] ** 2)) == pytest.approx(LOUDNESS, rel=0.1)


def test_nothing_is_left_of_silence_and_of_clicks():
    assert len(tidy(np.zeros(RATE, np.float32))) == 0
    click = np.zeros(RATE, np.float32)
    click[5000:5100] = 0.9
    assert len(tidy(click)) == 0
    assert len(tidy(np.zeros(3, np.float32))) == 0


def test_a_folder_becomes_a_library(toy, make_tone):
    assert toy.source == "toy"
    assert toy.counts() == {"piano": 3, "violin": 4, "flute": 2}
    index = int(toy.notes("violin")[0])
    assert toy.pitch[index] == 69  # A4 comes first by name
    note = toy.audio[toy.start[index] : toy.end[index]] / 32767
    heard = make_tone(69, 1.5)[: len(note)]
    assert np.corrcoef(note, heard)[0, 1] > 0.999


def test_the_second_call_decodes_nothing(notes_folder, tmp_path):
    first = library_of_folder(notes_folder, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    second = library_of_folder(notes_folder, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps
    assert np.array_equal(first.audio, second.audio)


def test_a_recording_that_changes_and_keeps_its_size_is_decoded_again(tmp_path, make_tone):
    path = tmp_path / "s" / "oboe" / "C5.wav"
    path.parent.mkdir(parents=True)
    found = []
    for harmonics in ((1.0,), (1.0, 0.9), (1.0,)):
        sf.write(path, make_tone(72, 1.0, harmonics=harmonics), RATE)
        library = library_of_folder(tmp_path / "s", tmp_path / "cache")
        found.append((path.stat().st_size, np.array(library.audio)))
    (size, first), (same, other), (_, again) = found
    assert size == same
    assert not np.array_equal(first, other)
    assert np.array_equal(first, again)


def test_several_folders_make_one_library(notes_folder, tmp_path, make_tone):
    (tmp_path / "more" / "oboe").mkdir(parents=True)
    sf.write(tmp_path / "more" / "oboe" / "C5.wav", make_tone(72, 1.0), RATE)
    alone = library_of_folder(notes_folder, tmp_path / "cache").counts()
    both = library_of_folder(notes_folder, tmp_path / "cache", tmp_path / "more").counts()
    assert both == {**alone, "oboe": alone.get("oboe", 0) + 1}


def test_a_missing_folder_says_what_is_expected(tmp_path):
    with pytest.raises(MaterialError, match=r"no folder .*LABEL"):
        library_of_folder(tmp_path / "nowhere", tmp_path)


def test_a_folder_without_labels_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "empty" / "kazoo").mkdir(parents=True)
    with pytest.raises(MaterialError, match="no sounds of any label found for empty"):
        library_of_folder(tmp_path / "empty", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_file_that_is_no_sound_is_named(tmp_path):
    (tmp_path / "bad" / "flute").mkdir(parents=True)
    (tmp_path / "bad" / "flute" / "C5.wav").write_bytes(b"not a sound at all")
    with pytest.raises(MaterialError, match=r"C5\.wav cannot be read"):
        library_of_folder(tmp_path / "bad", tmp_path / "cache")


def test_a_note_of_a_kind_that_only_ffmpeg_reads_is_read_with_it(tmp_path, make_tone, monkeypatch):
    program, note = tmp_path / "ffmpeg", tmp_path / "notes" / "flute" / "A4.m4a"
    program.write_text('#!/bin/sh\ncat "$(dirname "$0")/out.wav"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    sf.write(tmp_path / "out.wav", make_tone(69, 1.5), RATE, subtype="FLOAT")
    note.parent.mkdir(parents=True)
    note.write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + bytes(200))
    library = library_of_folder(tmp_path / "notes", tmp_path / "cache")
    assert library.pitch.tolist() == [69.0]


def test_an_interrupted_build_leaves_no_library(tmp_path):
    def broken():
        yield from ()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_library(broken(), "x", tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_other_rates_and_two_channels_come_out_mono_at_22050(tmp_path, make_tone, pitch_heard):
    (tmp_path / "s" / "oboe").mkdir(parents=True)
    sound = make_tone(72, 1.0, rate=48_000)
    sf.write(tmp_path / "s" / "oboe" / "C5.flac", np.stack([sound, 0 * sound], axis=1), 48_000)
    library = library_of_folder(tmp_path / "s", tmp_path / "cache")
    assert pitch_heard(library.audio.astype(np.float32)) == pytest.approx(72, abs=0.05)
    assert len(library.audio) == pytest.approx(RATE, rel=0.1)
