from pathlib import Path

import numpy as np
import pytest

from training.common.labels import RATE
from training.recordings.collection import Clip, Interval
from training.recordings.settings import WindowSpec
from training.recordings.windows import audible, cut, labels, starts


def clip(start, end, intervals=(), names=("a",)):
    return Clip(Path("x.wav"), start, end, names, "s", tuple(Interval(*one) for one in intervals))


@pytest.mark.parametrize(
    ("end", "count"),
    [(0.09, 0), (0.1, 1), (1.0, 1), (2.0, 1), (2.98, 1), (3.0, 2), (2.9999, 2), (10.0, 9)],
)
def test_windows_lie_whole_in_a_clip_and_short_clips_have_one(end, count):
    assert len(starts(clip(0.0, end), WindowSpec())) == count


def test_windows_begin_with_the_clip_and_lie_a_hop_apart():
    assert starts(clip(1.5, 5.0), WindowSpec(length=2, hop=0.5)).tolist() == [1.5, 2.0, 2.5, 3.0]


def test_a_label_is_on_from_the_share_on():
    one = clip(0, 10, [(0, 1, "a"), (1.02, 10, "b")], ("a", "b"))
    on = labels(one, np.array([0.0, 0.02, 1.0]), WindowSpec(share=0.5), ("a", "b"))
    assert on.tolist() == [[True, False], [False, True], [False, True]]


def test_a_clip_shorter_than_the_window_counts_by_its_own_length():
    one = clip(0, 1.0, [(0, 0.4, "a"), (0.4, 1.0, "b")], ("a", "b"))
    assert labels(one, np.array([0.0]), WindowSpec(share=0.5), ("a", "b")).tolist() == [
        [False, True]
    ]


def test_the_smallest_share_needs_some_sound():
    one = clip(0, 4, [(2.5, 4, "a")])
    assert labels(one, np.array([0.0, 1.0]), WindowSpec(share=1e-6), ("a",)).tolist() == [
        [False],
        [True],
    ]


def test_a_faster_window_holds_more_of_the_clip():
    one = clip(0, 10, [(2.0, 10, "a")])
    at = np.array([0.5])
    spec = WindowSpec(share=0.3)
    assert not labels(one, at, spec, ("a",))
    assert labels(one, at, spec, ("a",), speed=1.25)


def test_what_lies_behind_the_clip_is_silence():
    sound = np.ones(100, np.float32)
    assert cut(sound, clip(0, 5), 1.0, samples=20, rate=10).tolist() == [1.0] * 20
    assert cut(sound, clip(0, 2), 1.0, samples=20, rate=10).tolist() == [1.0] * 10 + [0.0] * 10
    assert cut(sound, clip(0, 50), 9.5, samples=20, rate=10).tolist() == [1.0] * 5 + [0.0] * 15


def test_windows_in_which_something_sounds_are_told_from_pauses():
    sound = np.zeros(6 * RATE, np.float32)
    sound[2 * RATE : 4 * RATE] = np.sin(np.arange(2 * RATE) / 5)
    at = np.arange(0.0, 5.0, 0.5)
    heard = at[audible(sound, at, 1.0)]
    # 0.15 s of a window of 1 s is enough, less is not.
    assert heard.tolist() == [1.5, 2.0, 2.5, 3.0, 3.5]
    for share, expected in ((0.10, False), (0.25, True)):
        one = np.concatenate([np.zeros(RATE), np.sin(np.arange(round(share * RATE)))])
        assert audible(np.float32(one), np.array([0.25]), 1.0).tolist() == [expected]


def test_what_is_40_db_below_the_loudest_is_a_pause_and_silence_never_sounds():
    tone = np.sin(np.arange(2 * RATE) / 5)
    for db, expected in ((-38, True), (-42, False)):
        sound = np.float32(np.concatenate([tone * 10 ** (db / 20), tone]))
        assert audible(sound, np.array([0.0]), 1.5).tolist() == [expected]
    assert not audible(np.zeros(RATE, np.float32), np.array([0.0]), 1.0).any()


@pytest.mark.parametrize(("db", "expected"), [(-79, True), (-81, False)])
def test_below_80_db_of_full_scale_nothing_sounds_however_steady(db, expected):
    steady = np.full(RATE, 10 ** (db / 20), np.float32)
    assert audible(steady, np.array([0.0]), 1.0).tolist() == [expected]


def test_a_sound_much_shorter_than_the_window_sounds():
    assert audible(np.ones(600, np.float32), np.array([0.0]), 2.0).tolist() == [True]


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.25, 0.35, 1.0])
@pytest.mark.parametrize("length", [0.5, 2.0])
def test_a_short_recording_that_decays_sounds(seconds, length):
    time = np.arange(round(seconds * RATE)) / RATE
    decays = np.random.default_rng(0).normal(0, 0.2, len(time)) * np.exp(-time / (seconds / 12))
    assert audible(np.float32(decays), np.array([0.0]), length).tolist() == [True]


@pytest.mark.parametrize(("share", "expected"), [(0.1, False), (0.2, True)])
def test_of_what_a_window_holds_of_a_short_recording_a_share_must_sound(share, expected):
    sound = np.zeros(RATE, np.float32)
    sound[: round(share * RATE)] = 0.5
    assert audible(sound, np.array([0.0]), 2.0).tolist() == [expected]


def test_what_sounds_after_the_clip_is_not_heard_in_it():
    sound = np.zeros(4 * RATE, np.float32)
    sound[RATE:] = 0.5
    at = np.array([0.0])
    assert audible(sound, at, 2.0).tolist() == [True]
    assert audible(sound, at, 2.0, end=1.0).tolist() == [False]
    assert audible(sound, at, 2.0, end=1.5).tolist() == [True]
