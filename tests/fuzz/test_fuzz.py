"""A few hundred inputs of the fuzzing that `make fuzz` does with a million."""

import pytest

from tests.fuzz.mutation import made
from tests.fuzz.run import ACCEPTED, outcome, run
from tests.fuzz.targets import TARGETS, Target

INPUTS = 300


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_is_accepted_or_rejected_with_a_reason(name):
    counts, faults = run(name, seed="short", numbers=range(INPUTS))
    assert faults == {}
    assert counts.total() == INPUTS
    assert len(counts) > 1


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "graph"])
def test_the_inputs_begin_with_valid_ones(name):
    target = TARGETS[name]
    assert {outcome(target, seed) for seed in target.seeds} <= {ACCEPTED, "Unprocessable"}


def test_an_input_is_decided_by_target_seed_and_number():
    seeds = TARGETS["job"].seeds
    assert made("job", "1", 7, seeds) == made("job", "1", 7, seeds)
    assert len({made("job", "1", number, seeds) for number in range(50)}) > 25


def test_what_is_no_rejection_is_a_fault():
    def fails(data):
        raise KeyError(data)

    def is_silent(_):
        raise ValueError

    assert outcome(Target((b"",), fails), b"x").startswith("FAULT KeyError")
    assert outcome(Target((b"",), is_silent, (ValueError,)), b"x").startswith("FAULT ValueError")
    assert outcome(Target((b"",), fails, (KeyError,)), b"x") == "KeyError"
