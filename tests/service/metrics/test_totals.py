"""The sums over several processes."""

import time

from service.metrics.metrics import AGE_S, Metrics
from service.metrics.slot import SIZE
from service.metrics.totals import Totals


def test_counters_and_histograms_of_all_processes_are_added(tmp_path):
    gateways = [Metrics(tmp_path, f"gateway-{number}") for number in range(3)]
    totals = [Totals(each) for each in gateways]
    for number, gateway in enumerate(gateways):
        gateway.windows.add("toy", by=1 + number)
        gateway.window_age.observe(0.5, "toy", "total")
    gateways[1].windows.add("other")
    for each in totals:
        found = each.read()
        assert found["timbre_windows_total"] == {("toy",): [6], ("other",): [1]}
        counts = found["timbre_window_age_seconds"]["toy", "total"]
        assert counts[AGE_S.index(0.5)] == 3
        assert counts[-1] == 1.5


def test_a_process_that_comes_later_is_added_too(tmp_path):
    first = Metrics(tmp_path, "gateway-0")
    totals = Totals(first)
    totals.read()
    Metrics(tmp_path, "worker-0").restarts.add("gateway")
    assert totals.read()["timbre_restarts_total"] == {("gateway",): [1], ("worker",): [0]}


def test_a_slot_that_is_just_being_made_is_not_read_yet(tmp_path):
    first = Metrics(tmp_path, "gateway-0")
    totals = Totals(first)
    for size in (0, SIZE - 1):
        (tmp_path / "gateway-1.slot").write_bytes(bytes(size))
        assert totals.read()["timbre_streams"] == {}
    Metrics(tmp_path, "gateway-1").streams.add("toy")
    assert totals.read()["timbre_streams"] == {("toy",): [1]}


def test_a_successor_goes_on_with_the_counts_and_forgets_the_gauges(tmp_path):
    reader = Metrics(tmp_path, "supervisor-0")
    for _ in range(2):
        gateway = Metrics(tmp_path, "gateway-0")
        gateway.windows.add("toy")
        gateway.streams.add("toy")
        gateway.queue_oldest.set(time.monotonic(), "toy", "live")
        gateway.model_info.set(1, "toy", "1", "CPU")
    Metrics(tmp_path, "gateway-0")
    found = Totals(reader).read()
    assert found["timbre_windows_total"] == {("toy",): [2]}
    assert found["timbre_streams"] == {("toy",): [0]}
    assert found["timbre_queue_oldest_seconds"] == {("toy", "live"): [0]}
    assert found["timbre_model_info"] == {("toy", "1", "CPU"): [0]}


def test_without_a_folder_a_process_sees_its_own():
    metrics = Metrics()
    metrics.streams.add("toy")
    assert Totals(metrics).read()["timbre_streams"] == {("toy",): [1]}
