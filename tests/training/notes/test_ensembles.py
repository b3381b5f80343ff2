import numpy as np
import pytest

from training.common.labels import LABELS
from training.notes.ensembles import (
    FORMATIONS,
    SAMPLES,
    ensemble,
    take_mix,
    take_note,
    take_score,
    take_solo,
)
from training.notes.mixtures import PRE_ROLL
from training.notes.sheet_music import Score, sort


def names(take):
    return {LABELS[i] for i in np.flatnonzero(take.labels)}


def test_an_exact_note_is_found_in_the_recording(toy):
    for seed in range(10):
        take = take_note(toy, "piano", np.random.default_rng(seed), exact=True)
        assert names(take) == {"piano"}
        begin = np.flatnonzero(take.samples)[0]
        piece = take.samples[begin : begin + 2000] * 32768
        starts = [
            toy.audio[toy.start[i] : toy.start[i] + 2100].astype(np.float32)
            for i in toy.notes("piano")
        ]
        assert any(
            np.abs(start[k : k + 2000] - piece).max() < 1 for start in starts for k in range(2)
        )


@pytest.mark.parametrize("exact", [True, False])
def test_a_note_always_sounds_in_its_window(toy, exact):
    for seed in range(60):
        take = take_note(toy, "flute", np.random.default_rng(seed), exact=exact)
        assert take.samples.shape == (SAMPLES,)
        assert np.count_nonzero(np.abs(take.samples[PRE_ROLL:]) > 0.01) > 2000
        assert names(take) == {"flute"}


def test_a_solo_has_the_label_of_its_player(toy):
    for seed in range(30):
        assert names(take_solo(toy, "violin", np.random.default_rng(seed))) == {"violin"}


def test_a_mix_has_only_labels_of_its_material(toy):
    seen = set()
    for seed in range(30):
        seen |= names(take_mix([toy], np.random.default_rng(seed)))
    assert seen == {"piano", "violin", "flute"}


def test_a_score_is_played_by_instruments_that_are_there(toy):
    score = Score(("violin", "cello"), (sort([(0, 9, 69)]), sort([(0, 9, 45)])))
    seen = set()
    for seed in range(20):
        take = take_score([toy], [score], np.random.default_rng(seed))
        assert take.labels.any()
        seen |= names(take)
    assert seen == {"piano", "violin", "flute"}


def test_ensembles_are_of_two_to_five_and_use_formations():
    drawn = [tuple(ensemble(LABELS, np.random.default_rng(seed))) for seed in range(300)]
    assert {len(players) for players in drawn} == {2, 3, 4, 5}
    assert sum(players in FORMATIONS for players in drawn) > 100
    assert set().union(*drawn) == set(LABELS)


def test_a_lone_instrument_can_be_doubled():
    assert set(ensemble(["oboe"], np.random.default_rng(0))) == {"oboe"}


def test_formations_name_labels_only():
    assert set().union(*FORMATIONS) == set(LABELS)
