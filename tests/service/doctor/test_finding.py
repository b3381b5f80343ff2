"""Findings are graded by the worst that holds."""

import pytest

from service.doctor.finding import graded


@pytest.mark.parametrize(
    ("bad_if", "attention_if", "state"),
    [
        (True, True, "bad"),
        (True, False, "bad"),
        (False, True, "attention"),
        (False, False, "good"),
    ],
)
def test_the_worst_condition_decides_and_only_what_is_good_needs_nothing(
    bad_if, attention_if, state
):
    finding = graded("x", "1", bad_if=bad_if, attention_if=attention_if, todo="mend it")
    assert finding.state == state
    assert bool(finding.todo) is (state != "good")
