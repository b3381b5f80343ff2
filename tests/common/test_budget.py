"""A budget admits up to its limit, gives back what ends, and names the thing and the limit."""

import pytest

from common.budget import Budget
from common.errors import Busy, TooMany


@pytest.mark.parametrize(("amount", "fits"), [(3, True), (4, False)])
def test_the_limit_holds_on_both_sides_and_what_ends_is_given_back(amount, fits):
    budget = Budget(10, "bytes of jobs in use")
    with budget.hold(7):
        if fits:
            with budget.hold(amount):
                assert budget.used == 10
        else:
            with (
                pytest.raises(Busy, match=r"^7 of 10 bytes of jobs in use; 4 more do not fit$"),
                budget.hold(amount),
            ):
                pass
    with budget.hold(10):
        assert budget.used == 10
    assert budget.used == 0


def test_a_rejected_reservation_and_one_that_raises_leave_nothing_in_use():
    budget = Budget(2, "files in progress")
    with pytest.raises(Busy), budget.hold(3):
        pass
    with pytest.raises(KeyError), budget.hold():
        raise KeyError
    assert budget.used == 0


def test_a_reservation_grows_never_shrinks_and_keeps_what_it_has_when_it_cannot_grow():
    budget = Budget(10, "bytes of bodies in memory")
    with budget.hold(0) as held, budget.hold(4):
        held.grow_to(6)
        held.grow_to(2)
        assert budget.used == 10
        with pytest.raises(Busy, match="10 of 10"):
            held.grow_to(7)
        assert held.amount == 6
    assert budget.used == 0


def test_the_error_is_of_the_type_asked_for_and_a_lowered_limit_counts_from_then_on():
    budget = Budget(2, "streams open with this key", error=TooMany)
    with budget.hold():
        budget.limit = 1
        with (
            pytest.raises(TooMany, match=r"^1 of 1 streams open with this key$"),
            budget.hold(),
        ):
            pass


def test_a_reservation_can_be_resized_both_ways_and_keeps_what_it_has_when_it_cannot():
    budget = Budget(10, "bytes of bodies in memory")
    with budget.hold(3) as held:
        for amount in (10, 0, 4):
            held.resize(amount)
            assert (budget.used, held.amount) == (amount, amount)
        with pytest.raises(Busy, match="4 of 10"):
            held.resize(11)
        assert (budget.used, held.amount) == (4, 4)
    assert budget.used == 0
