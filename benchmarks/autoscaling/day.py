"""A day of load on workers that an autoscaler adds and removes. Pure."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.autoscaling.autoscaler import SYNC_S, Autoscaler, Rules

DAY_S = 86_400
START_S = 60
"""From the decision to a worker that has loaded its models."""
CAPACITY = 400.0
"""Windows a second that one worker carries."""
WINDOWS_A_CLIP = 15
RATE_S = 120
"""Prometheus' rate looks back so far."""
UNREADY_S = 4
"""Without a worker for so long, gateways take no work."""
QUIET_AGE_S, OLDEST_S = 0.02, 2.0
"""The felt age of a window while there is room, and where it is dropped."""
FULL = 0.8
"""Share of the capacity from which on windows wait."""


@dataclass(frozen=True)
class Scenario:
    """What an autoscaler sees, and what happens."""

    name: str
    triggers: dict[str, float]
    """Names of metrics, and their targets."""
    rules: Rules = field(default_factory=Rules)
    lost: tuple[int, int] = (0, 0)
    """Seconds of the day in which Prometheus does not answer."""
    lost_is_zero: bool = False
    """As with KEDA's default `ignoreNullValues`, and a query that gives 0 without data."""


@dataclass
class Day:
    """What came of it, second by second."""

    asked: list[float] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    answered: float = 0.0
    """Windows of live streams; `dropped` too, `rejected` of clips as well."""
    dropped: float = 0.0
    rejected: float = 0.0
    longest_clip_wait_s: float = 0.0

    @property
    def dropped_share(self) -> float:
        """Of all windows asked for, those that were dropped or not even taken."""
        return (self.dropped + self.rejected) / (self.answered + self.dropped + self.rejected)

    @property
    def worker_hours(self) -> float:
        """What it cost."""
        return sum(self.wanted) / 3_600


def live_windows(second: int) -> float:
    """Return windows a second of live streams: none at night, 2,400 at two, a burst at eleven."""
    hour = second / 3_600
    shape = max(0.0, math.sin(math.pi * (hour - 5) / 18)) ** 2 if 5 < hour < 23 else 0.0
    burst = 800.0 if 39_600 <= second < 40_500 else 0.0
    return 2_400.0 * shape + burst


def clips(second: int, source: random.Random) -> int:
    """Return the clips that come in a second: a batch of 3,000 at 2 and at 13 o'clock besides."""
    mean = 3.0 * max(0.0, math.sin(math.pi * (second / 3_600 - 6) / 16))
    batch = 3_000 if second in {7_200, 46_800} else 0
    return batch + int(mean + source.random())


def simulate(scenario: Scenario, live: Callable[[int], float] = live_windows) -> Day:
    """Return the day."""
    day, source = Day(), random.Random(3)  # noqa: S311 - no secret
    scaler = Autoscaler(scenario.rules, replicas=max(1, scenario.rules.least))
    starting: deque[tuple[int, int]] = deque()
    ready, without, backlog = scaler.replicas, 0, 0.0
    seen: deque[tuple[float, float]] = deque(maxlen=RATE_S)
    for second in range(DAY_S):
        while starting and starting[0][0] <= second:
            ready = min(scaler.replicas, ready + starting.popleft()[1])
        without = 0 if ready else without + 1
        asked, came = live(second), clips(second, source)
        if without > UNREADY_S:
            day.rejected += asked + came * WINDOWS_A_CLIP
            asked, came = 0.0, 0
        room = ready * CAPACITY
        answered = min(asked, room)
        backlog = max(0.0, backlog + came - (room - answered) / WINDOWS_A_CLIP)
        age = _age(asked, room)
        seen.append((asked, age))
        day.answered += answered
        day.dropped += asked - answered
        _note_clips(day, backlog, room - answered)
        if second % SYNC_S == 0:
            values = _metrics(scenario, second, seen, backlog=backlog, ready=ready)
            before = scaler.replicas
            after = scaler.decide(second, values, scenario.triggers)
            if after > before:
                starting.append((second + START_S, after - before))
            ready = min(ready, after)
        day.asked.append(live(second))
        day.workers.append(ready)
        day.wanted.append(scaler.replicas)
    return day


def _age(asked: float, room: float) -> float:
    """Return the felt age: it grows from `FULL` on to that of windows which are dropped."""
    if not asked:
        return 0.0
    load = asked / room if room else math.inf
    return QUIET_AGE_S + (OLDEST_S - QUIET_AGE_S) * min(1.0, max(0.0, (load - FULL) / (1 - FULL)))


def _note_clips(day: Day, backlog: float, spare: float) -> None:
    if backlog > 1:
        wait = backlog * WINDOWS_A_CLIP / spare if spare > 0 else math.inf
        day.longest_clip_wait_s = max(day.longest_clip_wait_s, min(wait, 3_600.0))


def _metrics(
    scenario: Scenario,
    second: int,
    seen: deque[tuple[float, float]],
    *,
    backlog: float,
    ready: int,
) -> dict[str, float | None]:
    """Return what the triggers read; None while Prometheus is lost."""
    asked = sum(each for each, _ in seen) / len(seen)
    age = sum(each for _, each in seen) / len(seen)
    begin, end = scenario.lost
    lost = begin <= second < end
    nothing = 0.0 if scenario.lost_is_zero else None
    return {
        "clips": float(math.ceil(backlog)),
        "live": nothing if lost else asked,
        "age": nothing if lost else age * ready,
    }
