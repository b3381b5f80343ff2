import numpy as np
import pytest

from training.common.labels import LABELS, RATE
from training.notes.mixtures import (
    MAX_SHIFT,
    PRE_ROLL,
    WINDOW,
    choose,
    into_range,
    mix,
    play,
    section,
    sound_note,
)
from training.notes.phrases import Event

SAMPLES = PRE_ROLL + WINDOW


def heard(*names):
    return [name in names for name in LABELS]


def test_a_note_not_moved_is_the_recording(toy):
    index = int(toy.notes("piano")[1])
    note = sound_note(toy, index, samples=5000)
    recorded = toy.audio[toy.start[index] : toy.start[index] + 5000] / 32768
    assert np.allclose(note, recorded, atol=1e-6)


@pytest.mark.parametrize("moved", [-3.0, -0.5, 2.0])
def test_a_moved_note_has_the_pitch_asked_for(toy, pitch_heard, moved):
    index = int(toy.notes("violin")[0])
    note = sound_note(toy, index, samples=RATE, moved=moved)
    assert pitch_heard(note) == pytest.approx(69 + moved, abs=0.03)


def test_vibrato_moves_the_pitch_and_nothing_else(toy):
    index = int(toy.notes("violin")[0])
    plain = sound_note(toy, index, samples=RATE)
    shaken = sound_note(toy, index, samples=RATE, vibrato=(0.3, 6.0))
    assert not np.allclose(plain, shaken, atol=0.01)
    assert np.std(shaken) == pytest.approx(np.std(plain), rel=0.03)


def test_a_note_ends_where_its_recording_ends(toy):
    index = int(toy.notes("flute")[0])
    assert len(sound_note(toy, index, samples=10 * RATE)) == pytest.approx(
        int(toy.length(index)), abs=3
    )


def test_a_pitch_is_played_with_a_note_near_it(toy):
    rng = np.random.default_rng(0)
    for pitch in np.arange(52, 80, 0.5):
        index, moved = choose(toy, "violin", pitch, RATE, rng)
        assert LABELS[toy.label[index]] == "violin"
        assert toy.pitch[index] + moved == pytest.approx(pitch)
        assert abs(moved) <= MAX_SHIFT


def test_a_pitch_far_from_all_notes_is_set_in_another_octave(toy):
    index, moved = choose(toy, "flute", 74 - 24, RATE, np.random.default_rng(0))
    assert toy.pitch[index] + moved == pytest.approx(74)


def test_a_part_sounds_when_its_events_say(toy):
    stem = play(toy, "violin", [Event(1.0, 0.5, 69.0)], SAMPLES, np.random.default_rng(1))
    assert not np.any(stem[: RATE - 1])
    assert np.abs(stem[RATE + 2000 : int(1.4 * RATE)]).max() > 0.05
    assert not np.any(stem[int(1.8 * RATE) :])


def test_a_section_is_louder_than_nothing_and_as_long_as_asked(toy):
    for seed in range(12):
        stem = section(toy, "violin", [Event(0.0, 2.5, 69.0)], SAMPLES, np.random.default_rng(seed))
        assert stem.shape == (SAMPLES,)
        assert np.abs(stem).max() > 0.02


def stem_of(make_tone, begin, seconds, gain=1.0):
    stem = np.zeros(SAMPLES, np.float32)
    tone = gain * make_tone(69, seconds)
    stem[PRE_ROLL + int(begin * RATE) :][: len(tone)] = tone[
        : SAMPLES - PRE_ROLL - int(begin * RATE)
    ]
    return stem


def test_parts_that_are_heard_are_labelled(make_tone):
    stems = [stem_of(make_tone, 0, 2.0), stem_of(make_tone, 0.5, 1.0)]
    assert mix(stems, ["piano", "flute"], np.random.default_rng(0)).labels.tolist() == heard(
        "piano", "flute"
    )


def test_a_part_shorter_than_a_third_of_a_second_is_not_labelled(make_tone):
    rng = np.random.default_rng(0)
    long = stem_of(make_tone, 0, 2.0)
    assert mix(
        [long, stem_of(make_tone, 1.0, 0.22)], ["piano", "flute"], rng
    ).labels.tolist() == heard("piano")
    assert mix(
        [long, stem_of(make_tone, 1.0, 0.4)], ["piano", "flute"], rng
    ).labels.tolist() == heard("piano", "flute")


def test_a_part_that_plays_only_before_the_window_is_not_labelled(make_tone):
    early = np.zeros(SAMPLES, np.float32)
    early[: RATE // 2] = make_tone(60, 0.5)
    take = mix([stem_of(make_tone, 0, 2.0), early], ["piano", "flute"], np.random.default_rng(0))
    assert take.labels.tolist() == heard("piano")


def test_silence_has_no_labels():
    take = mix([np.zeros(SAMPLES, np.float32)], ["piano"], np.random.default_rng(0))
    assert not take.labels.any()
    assert not take.samples.any()


def test_parts_are_within_the_spread_of_one_another(make_tone):
    soft, loud = stem_of(make_tone, 0, 2.0, gain=0.01), stem_of(make_tone, 0, 2.0)
    soft[:], time = 0.01 * np.sin(np.arange(SAMPLES) * 0.3), slice(PRE_ROLL, None)
    for seed in range(10):
        total = mix([soft, loud], ["piano", "flute"], np.random.default_rng(seed)).samples
        parts = np.linalg.lstsq(np.stack([soft[time], loud[time]], 1), total[time], rcond=None)[0]
        levels = np.array([parts[0] * np.std(soft[time]), parts[1] * np.std(loud[time])])
        assert abs(20 * np.log10(levels[0] / levels[1])) < 13


def test_a_part_moves_into_range_by_octaves():
    events = [Event(0, 1, 40), Event(1, 1, 43)]
    assert [event.pitch % 12 for event in into_range(events, "flute")] == [4, 7]
    assert all(59 <= event.pitch <= 96 for event in into_range(events, "flute"))
    assert into_range([], "flute") == []
