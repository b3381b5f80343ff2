"""Statistics: every request is a success or a failure, with the time of its stages."""

import pytest

from service.open_inference.statistics import Statistics


def test_a_request_is_counted_once_with_its_rows_and_stages():
    statistics = Statistics()
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
    statistics = Statistics()
    with pytest.raises(ZeroDivisionError), statistics.request("m", "1") as count:
        count.rows = 1 / 0
    (found,) = statistics.describe([("m", "1")])
    stats = found["inference_stats"]
    assert (stats["fail"]["count"], stats["success"]["count"]) == (1, 0)
    assert found["inference_count"] == 0


def test_versions_without_requests_are_told_with_zeros():
    (found,) = Statistics().describe([("m", "2")])
    assert (found["name"], found["version"]) == ("m", "2")
    assert {each["count"] for each in found["inference_stats"].values()} == {0}
