"""The steps past the capacity are judged by what is promised, and run against a real server."""

import argparse
import shutil

import pytest

from benchmarks.reporting import results
from benchmarks.server_process import served
from benchmarks.serving import overload
from tests.service.conftest import artefacts  # noqa: F401 - fixture

ROW = {
    "factor": 2.0,
    "streams": 20,
    "answered_per_s": 8.0,
    "expected_per_s": 20.0,
    "dropped": {"overload": 12},
    "missing": 0,
    "failed": {},
    "busy": 0,
    "felt_p50_ms": 500.0,
    "felt_p99_ms": 2_000.0,
    "told_p99_ms": 1_900.0,
    "difference_p99_ms": 250.0,
    "livez_p99_ms": 1_000.0,
    "server_cpu": None,
    "server_mib": None,
    "load_cpu": 0.1,
}


def test_a_step_at_every_bound_keeps_the_promises():
    assert overload.shortfalls(ROW, 10.0) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"missing": 1}, "missing windows 1"),
        ({"failed": {"TimeoutError": 2}}, "failed streams 2"),
        ({"felt_p99_ms": 2_001.0}, "p99 of the age in ms 2001.0"),
        ({"felt_p99_ms": None}, "p99 of the age in ms None"),
        ({"difference_p99_ms": 251.0}, "|told - felt| in ms 251.0"),
        ({"livez_p99_ms": 1_001.0}, "/livez in ms 1001.0"),
        ({"answered_per_s": 7.9}, "7.9 answered/s, at least 8.0"),
    ],
)
def test_each_promise_that_is_not_kept_is_named(changed, named):
    (missed,) = overload.shortfalls(ROW | changed, 10.0)
    assert missed.startswith("2 C: ")
    assert named in missed


def test_below_the_capacity_all_that_is_expected_counts():
    assert overload.shortfalls(ROW | {"expected_per_s": 5.0, "answered_per_s": 4.0}, 10.0) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "12 overload"),
        ({"dropped": {}}, "0"),
        (
            {"dropped": {"late": 1_234}, "failed": {"TimeoutError": 1}, "missing": 2, "busy": 3},
            "1,234 late, 1 TimeoutError, 2 missing, 3 streams not accepted",
        ),
    ],
)
def test_a_result_tells_all_that_came_to_nothing(changed, told):
    given = argparse.Namespace(model="toy", redis=bool(changed))
    row = overload.result_of(ROW | changed, given)
    assert row["dropped"] == told
    assert row["what"] == ("2 C, through Redis" if changed else "2 C")
    assert "failed" not in row


def test_factors_are_a_list_of_numbers():
    assert overload._factors("0.5,4") == [0.5, 4.0]
    with pytest.raises(ValueError, match="none"):
        overload._factors("1,none")
    with pytest.raises(argparse.ArgumentTypeError):
        overload._factors("1,101")


def test_a_server_behind_redis_is_a_result_of_its_own(artefacts, monkeypatch, tmp_path):  # noqa: F811
    if not shutil.which("redis-server"):
        pytest.skip("no redis-server on this machine")
    monkeypatch.setattr(overload, "RECOVERY_S", 0.5)
    made = tmp_path / "overload-redis.json"
    options = ["--redis", "--model", "toy", "--capacity", "1", "--seconds", "2.2", "--factors", "2"]
    with served(["--artefacts", str(artefacts)], through_redis=True) as (url, _):
        overload.main([*options, "--url", url, "--json", str(made)])
    report = results.read(made)
    assert report["benchmark"] == "overload-redis"
    (row,) = report["rows"]
    assert (row["what"], row["streams"]) == ("2 C, through Redis", 2)
    assert row["answered_per_s"] > 0


@pytest.mark.slow  # loads a server past its capacity
@pytest.mark.parametrize("redis", [[], ["--redis"]])
def test_the_benchmark_runs_against_a_server_of_its_own(redis, capsys, monkeypatch, tmp_path):
    if redis and not shutil.which("redis-server"):
        pytest.skip("no redis-server on this machine")
    monkeypatch.setattr(overload, "RECOVERY_S", 0.5)
    options = ["--model", "instruments-forest", "--serve", "--gateways 1", "--capacity", "2"]
    options += redis
    overload.main([*options, "--seconds", "2.2", "--factors", "1"])
    table = capsys.readouterr().out
    assert "answered/s" in table
    assert "From 2 C back to C/2" in table
    made = tmp_path / "overload.json"
    overload.main([*options, "--seconds", "2.2", "--factors", "1", "--json", str(made)])
    report = results.read(made)
    assert report["benchmark"] == ("overload-redis" if redis else "overload")
    assert report["settings"]["redis"] is bool(redis)
    (row,) = report["rows"]
    assert (row["what"], row["streams"]) == ("1 C, through Redis" if redis else "1 C", 2)
