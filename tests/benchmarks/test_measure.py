"""Times become rows: medians, quartiles, and ratios within each round."""

import pytest

from benchmarks import measure


def test_a_ratio_is_the_median_of_those_of_the_rounds_and_not_of_all_times_together():
    # The third round had twice the load for both, and the second a hiccup of ours.
    times = {"ours": [1, 1, 4, 4, 2, 2], "other": [10, 10, 10, 10, 20, 20]}
    ours, other = measure.rows(times, ours="ours", block=2, what="w")
    assert (ours["ratio"], ours["rounds"], ours["what"]) == (1, 3, "w")
    assert (other["ratio_p25"], other["ratio"], other["ratio_p75"]) == (6.25, 10, 10)
    assert (other["p25_ms"], other["median_ms"], other["p75_ms"]) == (10, 10, 17.5)


def test_subjects_take_turns_and_the_first_call_of_a_block_does_not_count():
    calls = []
    subjects = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = measure.in_turn(subjects, rounds=2, calls=3)
    assert "".join(calls) == "aaaabbbb" * 2
    assert {name: len(each) for name, each in times.items()} == {"a": 6, "b": 6}


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"avx", "avx2", "avx512f"}, "AVX-512"),
        ({"avx", "avx2"}, "AVX2"),
        ({"fp", "asimd"}, "NEON"),
        ({"asimd", "sve"}, "SVE"),
    ],
)
def test_the_widest_instructions_are_named(flags, name):
    assert measure.instruction_set(flags) == name


def test_a_machine_is_described_with_its_commit():
    found = measure.machine()
    assert all(found[name] for name in ("processor", "instruction_set", "cores", "commit"))


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert measure.machine()["commit"] == "unknown"
