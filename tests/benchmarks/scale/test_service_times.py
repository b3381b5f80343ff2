"""Costs of a window come from two loads: what grows with the windows, and what is fixed."""

import pytest

from benchmarks.scale import service_times
from benchmarks.scale.service_times import Load
from common.errors import TimbreError


def load(windows, busy):
    """Ten seconds in which each process was busy for so many seconds."""
    ms = 1e3 * busy / windows
    return Load(
        streams=1,
        windows=windows,
        seconds=10.0,
        gateway_ms=ms,
        shard_ms=ms,
        worker_ms=ms,
        p50_ms=1.0,
        dropped=0,
    )


NAMES = ("gateway", "shard", "worker")


def test_the_cost_of_a_window_is_the_slope_and_the_rest_is_fixed():
    each, fixed = service_times.costs(load(100, 1.5), load(300, 3.5))
    # 0.2 of a core for 20 windows a second more: 10 ms each; 0.05 of a core without any.
    assert each == pytest.approx(dict.fromkeys(NAMES, 0.01))
    assert fixed == pytest.approx(dict.fromkeys(NAMES, 0.05))


@pytest.mark.parametrize("few", [load(100, 2.0), load(300, 1.0)])
def test_a_cost_that_does_not_grow_is_that_of_a_window_and_nothing_is_negative(few):
    each, fixed = service_times.costs(few, load(300, 1.5))
    assert each == pytest.approx(dict.fromkeys(NAMES, 0.005))
    assert all(value >= 0 for value in fixed.values())


def test_distributions_have_the_means_of_the_processes():
    found = service_times.times_of(load(100, 1.5), load(300, 3.5), calls=3)
    assert found.gateway.mean() == pytest.approx(0.01)
    assert 2 * found.shard.mean() == pytest.approx(0.01)
    assert found.model[1].mean() + found.worker.mean() == pytest.approx(0.01)
    assert set(found.model) == set(service_times.SIZES)


@pytest.mark.parametrize("dropped", [[0], [3, 0], [3, 2, 0], [3, 2, 1]])
def test_a_load_with_drops_is_tried_again_and_then_an_error(dropped, monkeypatch):
    loads = iter([load(100, 1.0)._replace(dropped=count) for count in dropped])
    monkeypatch.setattr(service_times, "loaded", lambda *_, **__: next(loads))
    if dropped[-1] == 0:
        assert service_times.unhurried(5, seconds=1.0).dropped == 0
    else:
        with pytest.raises(TimbreError, match="1 windows of 5 live streams were dropped, 3 times"):
            service_times.unhurried(5, seconds=1.0)
    assert next(loads, None) is None
