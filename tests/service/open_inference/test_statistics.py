"""Statistics: every request is a success or a failure, with the time of its stages."""

import time

import pytest

from service.metrics.metrics import Metrics
from service.open_inference.statistics import Statistics


def test_a_request_is_counted_once_with_its_rows_and_stages():
    statistics = Statistics(Metrics())
    for rows in (2, 3):
        with statistics.request("m", "1") as count:
            count.rows = rows
            count.add("queue", 0.5)
            with count.stage("compute_input"):
                pass
    (found,) = statistics.describe([("m", "1")])
    stats = found["inference_stats"]
    assert found["inference_count"] == 5
    assert stats["queue"] == {"count": 2, "ns": 1_000_000_000}
    assert (stats["success"]["count"], stats["fail"]["count"]) == (2, 0)
    assert stats["success"]["ns"] >= stats["compute_input"]["ns"] > 0


def test_a_request_that_raises_is_a_failure_and_nothing_else():
    statistics = Statistics(Metrics())
    with pytest.raises(ZeroDivisionError), statistics.request("m", "1") as count:
        count.rows = 1 / 0
    (found,) = statistics.describe([("m", "1")])
    stats = found["inference_stats"]
    assert (stats["fail"]["count"], stats["success"]["count"]) == (1, 0)
    assert found["inference_count"] == 0


def test_versions_without_requests_are_told_with_zeros():
    (found,) = Statistics(Metrics()).describe([("m", "2")])
    assert (found["name"], found["version"]) == ("m", "2")
    assert {each["count"] for each in found["inference_stats"].values()} == {0}


def count(statistics, *, rows, fails=0):
    for _ in range(fails):
        with pytest.raises(ZeroDivisionError), statistics.request("m", "1"):
            raise ZeroDivisionError
    with statistics.request("m", "1") as request:
        request.rows = rows
        request.add("queue", 0.25)


def test_every_process_tells_the_counts_of_all_also_of_one_that_ended(tmp_path):
    before = 1e3 * time.time()
    killed, other = (Statistics(Metrics(tmp_path, f"gateway-{n}")) for n in (0, 1))
    count(killed, rows=3, fails=1)
    successor = Statistics(Metrics(tmp_path, "gateway-0"))
    assert successor.describe([("m", "1")])[0]["last_inference"] >= before - 1
    count(other, rows=4)
    count(successor, rows=5)
    for each in (other, successor):
        (found,) = each.describe([("m", "1")])
        stats = found["inference_stats"]
        assert found["inference_count"] == 12
        assert (stats["success"]["count"], stats["fail"]["count"]) == (3, 1)
        assert stats["queue"] == {"count": 3, "ns": 750_000_000}
        assert before - 1 <= found["last_inference"] <= 1e3 * time.time() + 1
