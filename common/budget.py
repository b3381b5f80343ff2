"""A bound on what is in use at one time: bytes, files, streams. Pure."""

from __future__ import annotations

from typing import Self

from common.errors import Busy


class Budget:
    """Admits what fits below a limit and rejects the rest at once; nothing waits."""

    def __init__(self, limit: int, what: str, *, error: type[Busy] = Busy) -> None:
        """what: a plural for the message, as in "streams open with this key"; error: its type."""
        self.limit = limit
        """May be changed; what is held stays."""
        self.used = 0
        self._what = what
        self._error = error

    def hold(self, amount: int = 1) -> Reservation:
        """Return a context that uses a part of the budget until it ends.

        To enter it raises Busy (`error`) past the limit.
        """
        return Reservation(self, amount)

    def use(self, amount: int) -> None:
        """Add to what is in use. Raises Busy (`error`) past the limit."""
        if self.used + amount > self.limit:
            more = f"; {amount} more do not fit" if amount > 1 else ""
            raise self._error(f"{self.used} of {self.limit} {self._what}{more}")
        self.used += amount


class Reservation:
    """A part of a budget that can be resized, held while the block runs."""

    def __init__(self, budget: Budget, first: int = 0) -> None:
        """first: what is held from the beginning of the block."""
        self._budget = budget
        self._first = first
        self.amount = 0

    def __enter__(self) -> Self:
        self.grow_to(self._first)
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.used -= self.amount
        self.amount = 0

    def grow_to(self, amount: int) -> None:
        """Hold at least so much. Raises Busy when that does not fit; what is held stays."""
        if amount > self.amount:
            self._budget.use(amount - self.amount)
            self.amount = amount

    def resize(self, amount: int) -> None:
        """Hold just so much. Raises Busy when that does not fit; what is held stays."""
        self.grow_to(amount)
        self._budget.used -= self.amount - amount
        self.amount = amount
