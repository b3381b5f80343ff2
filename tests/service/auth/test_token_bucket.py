"""A bucket fills by the second up to its capacity and reports how long to wait."""

import math

import pytest

from service.auth.token_bucket import take_token


def test_a_bucket_fills_by_the_second_and_not_past_its_capacity():
    tokens, wait_s = take_token(math.inf, 0.0, now=5.0, rate=0.5)
    assert (tokens, wait_s) == (0.0, 0)
    assert take_token(tokens, 5.0, now=6.9, rate=0.5) == (pytest.approx(0.95), 1)
    assert take_token(tokens, 5.0, now=7.0, rate=0.5) == (0.0, 0)
    assert take_token(tokens, 5.0, now=1_000.0, rate=0.5) == (0.0, 0)


def test_as_many_requests_as_the_rate_pass_at_once():
    tokens = math.inf
    for _ in range(4):
        tokens, wait_s = take_token(tokens, 1.0, now=1.0, rate=4.0)
        assert wait_s == 0
    assert take_token(tokens, 1.0, now=1.0, rate=4.0) == (0.0, 1)


@pytest.mark.parametrize(("rate", "wait_s"), [(0.1, 10), (0.3, 4), (1.0, 1), (50.0, 1)])
def test_an_empty_bucket_reports_the_seconds_to_the_next_token(rate, wait_s):
    assert take_token(0.0, 1.0, now=1.0, rate=rate) == (0.0, wait_s)
