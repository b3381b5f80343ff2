import numpy as np
import pytest

from training.common.labels import LABELS, RANGES
from training.notes.phrases import generate


@pytest.mark.parametrize("label", LABELS)
def test_a_part_stays_in_the_range_of_its_instrument(label):
    low, high = RANGES[label]
    for seed in range(30):
        for event in generate(label, 3.0, np.random.default_rng(seed)):
            assert low <= event.pitch <= high + 12 * (label == "harpsichord")
            assert 0 <= event.onset < 3.0
            assert event.duration > 0


def test_the_same_generator_gives_the_same_part():
    assert generate("piano", 3.0, np.random.default_rng(5)) == generate(
        "piano", 3.0, np.random.default_rng(5)
    )


def test_parts_differ_in_speed_and_register():
    parts = [generate("violin", 3.0, np.random.default_rng(seed)) for seed in range(60)]
    lengths = [len(part) for part in parts]
    registers = [np.median([event.pitch for event in part]) for part in parts if part]
    assert min(lengths) <= 3
    assert max(lengths) >= 15
    assert max(registers) - min(registers) > 20


def test_keys_play_chords_and_winds_one_note_at_a_time():
    def voices(label):
        parts = [generate(label, 3.0, np.random.default_rng(seed)) for seed in range(40)]
        return max(sum(e.onset <= 1.5 < e.onset + e.duration * 0.9 for e in part) for part in parts)

    assert voices("piano") >= 3
    assert voices("oboe") == 1
