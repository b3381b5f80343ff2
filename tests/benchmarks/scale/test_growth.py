"""Cells are planned from the costs of a window; a case that differs or drops is named."""

import numpy as np
import pytest

from benchmarks.reporting import page
from benchmarks.scale import growth
from benchmarks.scale.simulation import Times

TIMES = Times(
    gateway=np.full(1, 0.002),
    shard=np.full(1, 0.0001),
    worker=np.full(1, 0.0005),
    model={1: np.full(1, 0.001), 32: np.full(1, 0.016)},
    fixed={"shard": 0.1},
)


def test_gateways_and_workers_are_as_many_as_keep_them_busy_for_the_share():
    # 1,000 windows a second cost gateways 2 cores, workers 1 (half of it the model, in batches).
    assert growth.plan(1_000, 0.5, TIMES) == (4, 2)
    assert growth.plan(1_000, 0.49, TIMES) == (5, 3)
    assert growth.plan(1, 0.5, TIMES) == (2, 2)  # one alone could not be upgraded


def test_a_shard_carries_what_keeps_it_busy_for_its_share_less_what_is_fixed():
    assert growth.per_shard(TIMES) == int((growth.SHARD_MOST - 0.1) / 0.0002)


@pytest.mark.parametrize(
    ("difference", "dropped", "missed"), [(0.15, 0, 0), (-0.15, 0, 0), (0.151, 0, 1), (None, 3, 1)]
)
def test_a_small_case_agrees_within_its_bound_or_is_named(difference, dropped, missed):
    row = {"what": "w", "core_ms": 1.0, "core_ms_simulated": 1.0}
    table = [row | {"difference": difference, "dropped": dropped}, {"what": "cell"}]
    assert len(growth.shortfalls(table)) == missed


def test_a_million_streams_are_as_many_cells_as_shards():
    (row,) = growth._million(TIMES, growth.FULL)
    assert row["shards"] == -(-1_000_000 // row["streams_of_a_shard"])
    cores = row["gateways"] + row["workers"] + row["shards"]
    assert row["dollars_of_1000_stream_hours"] == pytest.approx(cores * growth.CORE_HOUR / 1_000)


def test_the_document_names_what_the_simulation_assumes():
    text = (page.ROOT / "benchmarks" / "scale.md").read_text(encoding="utf-8")
    for assumed in (
        f"claimed after | {growth.RECLAIM_S:g} s",
        f"are back after | {growth.RECONNECT_S:g} s",
        f"takes over after | {growth.FAILOVER_S:g} s",
        f"is away for | {growth.UPGRADE_S:g} s",
        f"may be busy for | {growth.SHARD_MOST:.0%}".replace("%", " %"),
        f"costs | {growth.CORE_HOUR:g} dollars",
        f"at most {growth.NEAR:.0%}".replace("%", " %"),
    ):
        assert assumed in text


def test_every_scenario_is_simulated(monkeypatch):
    found = [
        growth._cell(name, share, TIMES, growth.TINY, failures)
        for name, share, failures in growth._scenarios(growth.TINY)
    ]
    assert [row["what"].rpartition(": ")[2] for row in found] == [
        *("nothing fails", "a worker lost", "a gateway lost"),
        *("Redis fails over", "rolling upgrade"),
    ]
    assert all(row["p50_ms"] <= row["p99_ms"] for row in found)


@pytest.mark.slow  # three servers with a Redis each
def test_a_tiny_run_has_small_cases_cells_and_a_million():
    table = growth.run(tiny=True)
    assert [row["what"].split(",")[0] for row in table] == [
        "2 live streams", *["40 streams"] * 5, "1"
    ]  # fmt: skip
