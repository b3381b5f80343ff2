"""The simulation counts every window, keeps its order, and agrees with queueing theory."""

import numpy as np
import pytest

from benchmarks.scale.simulation import Cell, Failure, Simulation, Times

FREE = np.zeros(1)


def times(*, gateway=0.0, shard=0.0, worker=0.0, model=0.0, **more):
    each = {name: np.full(1, value) for name, value in locals().items() if name in FIELDS}
    return Times(**each, model={1: np.full(1, model), 32: np.full(1, model)}, **more)


FIELDS = ("gateway", "shard", "worker")


def ages(cell, given):
    return np.sort(Simulation(cell, given).run().ages)


def test_a_window_alone_takes_the_sum_of_its_services():
    cell = Cell(streams=1, gateways=1, workers=1, seconds=5.0)
    found = ages(cell, times(gateway=0.1, shard=0.02, worker=0.03, model=0.04))
    np.testing.assert_allclose(found, 0.1 + 2 * 0.02 + 0.03 + 0.04)
    assert len(found) == 5


def test_processor_time_is_that_of_the_windows_and_what_is_fixed():
    given = times(gateway=0.01, shard=0.002, worker=0.003, model=0.004, fixed={"gateway": 0.1})
    cell = Cell(streams=3, gateways=2, workers=1, seconds=5.0)
    outcome = Simulation(cell, given).run()
    assert outcome.busy["gateway"] == pytest.approx(15 * 0.01 + 2 * 5 * 0.1)
    assert outcome.busy["shard"] == pytest.approx(15 * 2 * 0.002)
    # The model's time is of a batch: 32 cost as much as one here.
    assert outcome.busy["worker"] <= 15 * (0.003 + 0.004) + 1e-9


def test_waiting_at_a_core_agrees_with_theory():
    service, load = 0.0005, 0.5
    cell = Cell(streams=1_000, gateways=1, workers=1, seconds=6.0, batch=1)
    wait = np.mean(ages(cell, times(worker=service))) - service
    # Of many streams windows come nearly at random: the wait of M/D/1 (Pollaczek and Khinchine).
    assert wait == pytest.approx(load * service / (2 * (1 - load)), rel=0.15)


@pytest.mark.parametrize(
    "failures",
    [
        (),
        (Failure(at=3.0, kind="worker", seconds=1.5),),
        (Failure(at=3.0, kind="gateway", seconds=0.5),),
        (Failure(at=3.0, kind="shard", seconds=1.0),),
        (Failure(at=1.0, kind="upgrade", seconds=1.0),),
    ],
    ids=lambda failures: failures[0].kind if failures else "none",
)
def test_every_window_is_answered_or_dropped_whatever_fails(failures):
    cell = Cell(streams=200, gateways=4, workers=2, seconds=6.0, failures=failures)
    outcome = Simulation(cell, times(gateway=0.005, worker=0.002, model=0.001)).run()
    assert len(outcome.ages) + outcome.dropped == 200 * 6
    assert max(outcome.ages) <= cell.patience


def test_a_shard_that_stops_makes_ages_as_long_as_its_pause():
    failure = Failure(at=3.0, kind="shard", seconds=1.0)
    cell = Cell(streams=200, gateways=4, workers=2, seconds=6.0)
    calm = ages(cell, times(gateway=0.001))
    paused = ages(Cell(**vars(cell) | {"failures": (failure,)}), times(gateway=0.001))
    assert calm[-1] < 0.1
    assert 0.9 < paused[-1] < 1.1


def test_streams_of_a_lost_gateway_wait_until_they_are_back():
    failure = Failure(at=3.0, kind="gateway", seconds=0.5)
    cell = Cell(streams=200, gateways=4, workers=2, seconds=6.0, failures=(failure,))
    found = ages(cell, times(gateway=0.001))
    # A quarter of the streams, for half of a hop.
    assert np.sum(found > 0.1) == pytest.approx(200 / 4 * 0.4, rel=0.4)
    assert found[-1] < 0.6


def test_jobs_of_a_lost_worker_are_late_and_not_lost():
    failure = Failure(at=3.0, kind="worker", seconds=1.5)
    cell = Cell(streams=300, gateways=4, workers=4, seconds=6.0, failures=(failure,))
    found = ages(cell, times(worker=0.0066))
    assert 1.5 <= found[-1] < 2.0
    assert np.sum(found > 1.4) <= cell.batch


def test_more_than_a_core_can_do_is_dropped_and_nothing_is_answered_late():
    cell = Cell(streams=300, gateways=1, workers=1, seconds=10.0)
    outcome = Simulation(cell, times(worker=0.01)).run()
    assert outcome.dropped > 0
    assert max(outcome.ages) <= cell.patience


def test_the_same_seed_gives_the_same_ages():
    cell = Cell(streams=50, gateways=2, workers=2, seconds=4.0)
    given = Times(
        gateway=np.array([0.001, 0.01]), shard=FREE, worker=FREE, model={1: np.array([0.001])}
    )
    first, again, other = (Simulation(cell, given, seed=seed).run().ages for seed in (0, 0, 1))
    assert first == again != other
