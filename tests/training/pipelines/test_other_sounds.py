"""Other sounds for a model of one's own recordings."""

import numpy as np
import pytest
import soundfile as sf

from features.config import AudioConfig
from training.common.recipe import RecipeError, load
from training.notes.other_sounds import KINDS
from training.pipelines import other_sounds as module
from training.pipelines.other_sounds import FOLDER, Scored, other_sounds, recordings_of
from training.recordings.collection import CollectionError

CONFIG = AudioConfig(window=22_050)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(module, "EACH", 1)


def recipe(*changes):
    return load("sounds", ["windows.length=1", "others.share=0.9", *changes])


def test_generated_sounds_of_every_kind_are_learnt_choose_thresholds_and_judge_them():
    found = other_sounds(recipe(), CONFIG)
    assert found.kinds == list(KINDS)
    parts = (found.learnt, found.chosen_on, found.judged_on)
    assert [len(some) for some in parts] == [len(KINDS)] * 3
    assert {one.shape for some in parts for one in some} == {(CONFIG.window,)}
    assert len({one.tobytes() for some in parts for one in some}) == 3 * len(KINDS)


def test_no_file_of_the_folder_is_in_two_of_these(tmp_path, write_sound, capsys):
    for number in range(6):
        write_sound(tmp_path / "street" / f"{number}.wav", hertz=300 + 100 * number)
    (tmp_path / "street" / "broken.wav").write_bytes(b"RIFF....WAVE")
    found = other_sounds(recipe(f"others.path={tmp_path / 'street'}"), CONFIG)
    parts = (found.learnt, found.chosen_on, found.judged_on)
    own = [some[len(KINDS) :] for some in parts]
    # Six files of 3 s, in windows of 1 s: three each.
    assert [len(some) for some in own] == [6, 6, 6]
    assert len({one.tobytes() for some in own for one in some}) == 18
    assert found.kinds[len(KINDS) :] == [FOLDER] * 6
    assert "broken.wav: cannot be read as sound" in capsys.readouterr().out


def white(path, seed, seconds=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.random.default_rng(seed).normal(0, 0.1, 22_050 * seconds), 22_050)


def parts_of(folder):
    """Return the windows of a folder's sounds by third."""
    found = other_sounds(recipe(f"others.path={folder}"), CONFIG)
    thirds = [some[len(KINDS) :] for some in (found.learnt, found.chosen_on, found.judged_on)]
    return [{one.tobytes() for one in third} for third in thirds]


@pytest.mark.parametrize(
    "names",
    [
        [f"{x}-{piece}.wav" for x in "xyz" for piece in "ABC"],
        [f"1-{x}-{piece}-3.wav" for x in (100, 200, 300) for piece in "ABC"],
        [f"{x}_part{piece}.wav" for x in "xyz" for piece in (1, 2, 3)],
        [f"{x} ({piece}).wav" for x in "xyz" for piece in (1, 2, 3)],
        [f"{x}-{piece}.wav" for x in "xyz" for piece in (1, 2, 3)],
        [f"site{x}/dog/{piece}.wav" for x in (1, 2, 3) for piece in (1, 2, 3)],
    ],
)
def test_pieces_of_one_recording_are_kept_together(tmp_path, names):
    for number, name in enumerate(names):
        white(tmp_path / name, number)
    found = recordings_of(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in found) == sorted(names)
    groups = [{found[tmp_path / name] for name in names[at : at + 3]} for at in (0, 3, 6)]
    assert [len(group) for group in groups] == [1, 1, 1]
    assert len(set.union(*groups)) == 3


def test_no_recording_is_in_two_thirds(tmp_path):
    for number, name in enumerate(f"{x}-{piece}.wav" for piece in "AB" for x in "xyz"):
        white(tmp_path / name, number)
    assert [len(third) for third in parts_of(tmp_path)] == [2, 2, 2]


@pytest.mark.parametrize(("files", "recordings"), [(10, 3), (11, 13)])
def test_a_short_series_is_of_one_recording_and_a_long_one_of_many(tmp_path, files, recordings):
    for number in range(files):
        white(tmp_path / f"noise-{number:03}.wav", number)
    for name in ("rain", "wind"):
        white(tmp_path / f"{name}.wav", name.encode()[0])
    assert len(set(recordings_of(tmp_path).values())) == recordings


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["noise-0", "noise-1", "noise-2"], "fewer than three series"),
        (["a/x/rain", "a/x/wind", "b/y/sea"], "fewer than three folders"),
        (["a/x/rain", "b/x/wind", "c/y/sea"], ""),
    ],
)
def test_where_fewer_than_three_would_be_left_files_count_and_that_is_told(
    tmp_path, names, told, capsys
):
    for number, name in enumerate(names):
        white(tmp_path / f"{name}.wav", number)
    assert len(set(recordings_of(tmp_path).values())) == 3
    printed = capsys.readouterr().out
    assert told in printed
    assert bool(printed) == bool(told)


def test_three_pieces_of_one_recording_are_too_few(tmp_path):
    for number, piece in enumerate("ABC"):
        white(tmp_path / f"x-{piece}.wav", number)
    told = r"has 3 sounds of 1 recordings that can be used; three are needed"
    with pytest.raises(CollectionError, match=told):
        other_sounds(recipe(f"others.path={tmp_path}"), CONFIG)


def test_of_identical_files_one_is_used(tmp_path, capsys):
    for name in ("a/rain.wav", "b/copy.wav", "c/again.wav"):
        white(tmp_path / name, 0)
    with pytest.raises(CollectionError, match="has 1 sounds that can be used"):
        other_sounds(recipe(f"others.path={tmp_path}"), CONFIG)
    assert "again.wav: the same sound as " in capsys.readouterr().out
    white(tmp_path / "wind.wav", 1)
    white(tmp_path / "sea.wav", 2)
    assert [len(third) for third in parts_of(tmp_path)] == [1, 1, 1]


def test_of_long_recordings_only_the_drawn_windows_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    for number in range(3):
        white(tmp_path / f"{number}.wav", number, seconds=20)
    found = other_sounds(recipe(f"others.path={tmp_path}"), CONFIG)
    for some in (found.learnt, found.chosen_on, found.judged_on):
        own = some[len(KINDS) :]
        assert len({one.tobytes() for one in own}) == 3
        assert all(one.base is None and one.shape == (CONFIG.window,) for one in own)
    again = other_sounds(recipe(f"others.path={tmp_path}"), CONFIG)
    assert np.array_equal(found.judged_on[-1], again.judged_on[-1])


def test_of_a_large_folder_some_windows_are_drawn(tmp_path, write_sound, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(3):
        write_sound(tmp_path / f"{number}.wav", hertz=300)
    found = other_sounds(recipe(f"others.path={tmp_path}"), CONFIG)
    assert found.kinds.count(FOLDER) == 2


@pytest.mark.parametrize("count", [0, 2])
def test_a_folder_without_three_sounds_is_told(tmp_path, write_sound, count):
    sf.write(tmp_path / "silence.wav", np.zeros(44_100), 22_050)
    for number in range(count):
        write_sound(tmp_path / f"{number}.wav")
    told = rf"has {count} sounds that can be used; nothing sounds in silence\.wav; three are needed"
    with pytest.raises(CollectionError, match=told):
        other_sounds(recipe(f"others.path={tmp_path}"), CONFIG)


@pytest.mark.parametrize("share", ["-0.01", "1.01", "nan"])
def test_the_share_is_bounded(share):
    with pytest.raises(RecipeError, match=r"others\.share"):
        load("sounds", [f"others.share={share}"])


def test_a_folder_without_a_share_would_do_nothing_and_is_told(tmp_path):
    with pytest.raises(RecipeError, match=r"needs others\.share, such as 0\.9"):
        load("sounds", [f"others.path={tmp_path}"])


class Loudness:
    """A model of one label whose score is the peak."""

    def scores(self, tensors):
        return np.abs(tensors).max(axis=1)[:, None]


def test_thresholds_are_raised_to_the_share_and_never_lowered():
    scored = Scored.by(Loudness(), other_sounds(recipe(), CONFIG), "samples", CONFIG)
    assert scored.chosen_on.shape == scored.judged_on.shape == (len(KINDS), 1)
    (raised,) = scored.raised(np.float32([0.0]), 0.5)
    assert (scored.chosen_on[:, 0] < raised).mean() >= 0.5
    assert scored.raised(np.float32([1.0]), 0.5).tolist() == [1.0]
    ways = scored.compared(np.float32([[0.9]]), np.array([[True]]), np.float32([0.2]))
    assert list(ways["90%"]["kinds"]) == list(KINDS)
