"""The HorizontalPodAutoscaler with KEDA's metrics, as their documentation has them. Pure.

Kubernetes: every 15 s, for each metric of the kind AverageValue, ceil(value / target), the current
number where it is off by a tenth at most; of all metrics the largest; then `behavior`: up at most
as its policies allow within their periods, down to the largest recommendation of its window. A
metric that cannot be read forbids to go down. KEDA: a metric that could not be read so many times
in a row counts as `fallback` replicas; below 1 replica it asks itself whether there is work.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SYNC_S = 15
TOLERANCE = 0.1
COOLDOWN_S = 300


@dataclass(frozen=True)
class Policy:
    """At most so many percent, or pods, in a period."""

    percent: float = 0.0
    pods: int = 0
    period_s: int = 60

    def up_to(self, replicas: int) -> int:
        """Return the largest number that may follow one."""
        return max(replicas + self.pods, math.ceil(replicas * (1 + self.percent / 100)))

    def down_to(self, replicas: int) -> int:
        """Return the smallest number that may follow one."""
        return min(replicas - self.pods, math.floor(replicas * (1 - self.percent / 100)))


@dataclass(frozen=True)
class Rules:
    """What the chart sets; the numbers are those of its values.yaml."""

    least: int = 2
    most: int = 20
    up: tuple[Policy, ...] = (Policy(percent=100, period_s=30), Policy(pods=4, period_s=30))
    down: tuple[Policy, ...] = (Policy(percent=25, period_s=300),)
    stabilization_s: int = 1_800
    fallback: int = 12
    """0: none."""
    failures: int = 4


@dataclass
class Autoscaler:
    """Decides every `SYNC_S`; `replicas` is what it has decided."""

    rules: Rules
    replicas: int
    _recommended: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)
    _failed: dict[str, int] = field(default_factory=dict)
    _active_at: float = 0.0

    def decide(
        self, now: float, values: Mapping[str, float | None], targets: Mapping[str, float]
    ) -> int:
        """Return how many replicas there shall be. values: by trigger, None where not readable."""
        if self.rules.least == 0 and not self._wakes(now, values):
            return self.replicas
        wanted, unreadable = [], False
        for name, target in targets.items():
            value = self._value_or_fallback(name, values[name], target)
            if value is None:
                unreadable = True
            else:
                wanted.append(self._wanted(value, target))
        recommended = max(wanted, default=self.replicas)
        if unreadable:
            recommended = max(recommended, self.replicas)
        self._move(now, recommended)
        return self.replicas

    def _wakes(self, now: float, values: Mapping[str, float | None]) -> bool:
        """Return whether the autoscaler is asked at all: KEDA alone takes the steps to 0 and 1."""
        if any(value for value in values.values()):
            self._active_at = now
            self.replicas = max(self.replicas, 1)
        elif now - self._active_at > COOLDOWN_S:
            self.replicas = 0
        return self.replicas > 0

    def _value_or_fallback(self, name: str, value: float | None, target: float) -> float | None:
        self._failed[name] = 0 if value is not None else self._failed.get(name, 0) + 1
        if value is None and self.rules.fallback and self._failed[name] >= self.rules.failures:
            return self.rules.fallback * target
        return value

    def _wanted(self, value: float, target: float) -> int:
        if abs(value / target - self.replicas) <= TOLERANCE * self.replicas + 1e-9:
            return self.replicas
        return math.ceil(value / target)

    def _move(self, now: float, recommended: int) -> None:
        rules = self.rules
        bounded = min(max(recommended, rules.least, 1), rules.most)
        self._recommended.append((now, bounded))
        while self._recommended[0][0] < now - rules.stabilization_s:
            self._recommended.popleft()
        stable = max(number for _, number in self._recommended)
        before = self.replicas
        if bounded > before:
            top = max(each.up_to(self._at(now - each.period_s)) for each in rules.up)
            self.replicas = max(before, min(bounded, top))
        elif stable < before:
            bottom = min(each.down_to(self._at(now - each.period_s)) for each in rules.down)
            self.replicas = min(before, max(stable, bottom))
        if self.replicas != before:
            self._changes.append((now, before))

    def _at(self, when: float) -> int:
        """Return how many replicas there were; kept for as long as a policy looks back."""
        longest = max(each.period_s for each in (*self.rules.up, *self.rules.down))
        while self._changes and self._changes[0][0] < when - longest:
            self._changes.popleft()
        later = (before for at, before in self._changes if at > when)
        return next(later, self.replicas)


def changes(replicas: Iterable[int]) -> int:
    """Return how many times a number changed."""
    numbers = list(replicas)
    return sum(a != b for a, b in itertools.pairwise(numbers))
