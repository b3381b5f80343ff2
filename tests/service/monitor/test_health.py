"""A source that is dead is told once, and once when it works again."""

import pytest

from service.monitor.health import RETURN_S, Health


@pytest.mark.parametrize("level", ["silent", "clipped"])
def test_a_level_is_a_problem_when_it_lasts_as_long_as_was_said_and_not_before(level):
    health = Health(patience_s=10)
    assert health.sound(level, 9.9) is None
    assert health.sound(level, 0.1) == level
    assert [health.sound(level, 10) for _ in range(3)] == [None] * 3


def test_sound_between_two_silences_begins_anew():
    health = Health(patience_s=10)
    told = [health.sound(level, 9) for level in ("silent", "heard", "silent", "clipped")]
    assert told == [None] * 4
    assert not health.problem


@pytest.mark.parametrize("problem", ["no sound", "not connected"])
def test_a_source_that_comes_and_goes_is_told_once(problem):
    health = Health(patience_s=60)
    assert health.lost(problem) == problem
    for _ in range(20):
        assert health.sound("heard", RETURN_S[problem] - 1) is None
        assert health.lost(problem) is None
    assert health.sound("heard", RETURN_S[problem] - 1) is None
    assert health.sound("heard", 1) == ""
    assert health.lost(problem) == problem


@pytest.mark.parametrize("level", ["silent", "clipped"])
def test_usual_sound_ends_a_problem(level):
    health = Health(patience_s=1)
    health.sound(level, 1)
    assert health.sound("heard", 1.9) is None
    assert health.sound("heard", 0.1) == ""
    assert health.sound("heard", 100) is None


def test_a_source_that_is_back_and_silent_is_dead_another_way():
    health = Health(patience_s=5)
    health.lost("not connected")
    assert health.sound("silent", 5) == "silent"
