"""Positions at two rates: whole numbers that never drift and always come back."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from service.streaming.sample_grid import SampleGrid

RATES = st.integers(8_000, 192_000)


@given(rate=RATES, position=st.integers(0, 2**50))
def test_positions_are_the_nearest_sample_even_after_years(rate, position):
    exact = Fraction(position * rate, 22_050)
    assert abs(
        SampleGrid(client_rate=rate, model_rate=22_050).to_client(position) - exact
    ) <= Fraction(1, 2)


@given(rate=RATES, window=st.integers(0, 2**30))
def test_a_client_that_begins_at_a_windows_start_gets_that_window(rate, window):
    grid = SampleGrid(client_rate=rate, model_rate=22_050)
    start = window * 512
    assert grid.to_model(grid.to_client(start)) <= start
    assert grid.to_client(grid.to_model(grid.to_client(start))) >= grid.to_client(start)


@given(rate=RATES, position=st.integers(0, 2**53))
def test_no_window_begins_before_the_clients_first_sample(rate, position):
    grid = SampleGrid(client_rate=rate, model_rate=22_050)
    first = grid.to_model(position)
    assert grid.to_client(first) >= position
    assert first == 0 or grid.to_client(first - 1) < position
