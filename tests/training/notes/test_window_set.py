import shutil

import mido
import numpy as np
import pytest
import soundfile as sf

from training.common.errors import MaterialError
from training.notes import window_set
from training.notes.window_set import Spec, build, gather, open_windows


@pytest.fixture(scope="module")
def spec(notes_folder, tmp_path_factory):
    """Two sources: the toy, and a copy of it."""
    other = tmp_path_factory.mktemp("other") / "copy"
    shutil.copytree(notes_folder, other)
    return Spec(folders=(notes_folder, other), note=3, solo=3, mix=6, across=4, silence=2, noise=4)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("windows")


@pytest.fixture(scope="module")
def windows(spec, out):
    return build(spec, out, seed=1, jobs=1)


def test_there_are_as_many_windows_of_each_kind_as_asked(windows):
    counts = dict(zip(*np.unique(windows.kind, return_counts=True), strict=True))
    assert counts == {"note": 18, "solo": 18, "mix": 16, "silence": 4, "noise": 8}
    assert windows.samples.shape == (len(windows), 44_100)
    assert windows.labels.shape == (len(windows), 11)
    assert windows.sources == ["copy", "noise-a", "noise-b", "toy"]


def test_a_source_of_one_label_plays_in_mixtures_with_others_alone(notes_folder, tmp_path):
    import shutil

    shutil.copytree(notes_folder / "flute", tmp_path / "one" / "flute")
    counts = {"note": 1, "solo": 1, "mix": 2, "across": 2, "silence": 0, "noise": 0}
    spec = Spec(folders=(notes_folder, tmp_path / "one"), **counts)
    made = build(spec, tmp_path / "out", seed=1, jobs=1)
    kinds = {source: sorted(made.kind[made.source == source]) for source in set(made.source)}
    assert kinds["one"] == ["note", "solo"]
    assert kinds["toy"].count("mix") == kinds["toy+one"].count("mix") == 2


def test_windows_are_sound_in_range(windows):
    samples = windows.read(slice(None))
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.001
    assert (np.abs(samples).max(axis=1)[windows.labels.any(1)] > 1e-3).all()


def test_noise_and_silence_have_no_label_and_notes_have_one(windows):
    quiet = np.isin(windows.kind, ["silence", "noise"])
    assert not windows.labels[quiet].any()
    assert (windows.labels[np.isin(windows.kind, ["note", "solo"])].sum(1) == 1).all()


@pytest.mark.slow  # draws all windows twice
def test_two_processes_draw_the_same_windows_as_one(windows, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(window_set, "_CHUNK", 16)
    again = build(spec, tmp_path, seed=1, jobs=2)
    assert again.fingerprint == windows.fingerprint
    assert np.array_equal(again.samples, windows.samples)
    assert np.array_equal(again.labels, windows.labels)


def test_the_second_build_only_opens(windows, spec, out):
    told = []
    again = build(
        spec, out, seed=1, jobs=1, progress=lambda done, total: told.append((done, total))
    )
    assert again.folder == windows.folder
    assert told == []
    assert len(open_windows(again.folder)) == len(windows)


def test_another_seed_is_another_set(windows, spec, out):
    told = []
    other = build(
        spec, out, seed=2, jobs=1, progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (len(other), len(other))
    assert other.fingerprint != windows.fingerprint
    assert not np.array_equal(other.samples, windows.samples)


def test_a_held_out_source_never_trains_not_even_in_mixtures(windows):
    train, test = windows.held_out("toy")
    assert not any("toy" in source for source in windows.source[train])
    assert set(windows.source[test]) == {"toy"}
    assert set(windows.source[~train & ~test]) == {"toy+copy"}


def test_two_held_out_sources_test_their_mixtures_too(windows):
    _, test = windows.held_out("toy", "copy")
    assert set(windows.source[test]) == {"toy", "copy", "toy+copy"}


def test_without_material_the_message_says_what_to_install(tmp_path):
    with pytest.raises(MaterialError, match="apt install"):
        build(Spec(), tmp_path, seed=1)


def test_a_score_that_is_edited_makes_other_windows(notes_folder, tmp_path):
    def written(pitch):
        track = mido.MidiTrack(
            [
                mido.Message("program_change", channel=0, program=0),
                mido.Message("note_on", channel=0, note=pitch, velocity=80),
                mido.Message("note_off", channel=0, note=pitch, time=480),
            ]
        )
        mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(tmp_path / "a.mid")
        return gather(spec, tmp_path / "cache").fingerprint

    spec = Spec(folders=(notes_folder,), scores=(tmp_path / "a.mid",))
    assert written(60) == written(60) != written(61)


def test_only_the_sounds_of_labels_make_other_windows(notes_folder, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(notes_folder, folder)
    spec = Spec(folders=(folder,))
    first = gather(spec, tmp_path / "cache")
    (folder / "README.txt").write_text("where the notes are from")
    (folder / "piano" / "licence.txt").write_text("free")
    (folder / "more").mkdir()
    shutil.copy(next((folder / "piano").glob("*.*")), folder / "more" / "a.wav")
    assert gather(spec, tmp_path / "cache").fingerprint == first.fingerprint
    # A sound without an ending is one of the notes.
    shutil.copy(folder / "more" / "a.wav", folder / "piano" / "another")
    assert gather(spec, tmp_path / "cache").fingerprint != first.fingerprint


def test_notes_that_change_and_keep_their_sizes_are_other_windows(notes_folder, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(notes_folder, folder)
    spec = Spec(folders=(folder,), note=1, solo=0, mix=0, score=0, across=0, silence=1, noise=1)
    first = build(spec, tmp_path / "out", seed=1, jobs=1)
    path = next((folder / "piano").iterdir())
    sound, rate = sf.read(path, dtype="int16")
    sf.write(path, sound[::-1], rate)
    assert build(spec, tmp_path / "out", seed=1, jobs=1).folder != first.folder
