"""What a monitor tells Prometheus."""

import asyncio
import socket

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.errors import TimbreError
from service.archive.records import EventRecord, MinuteRecord, ProblemRecord
from service.monitor.metrics import PROBLEMS, STATES, MonitorMetrics, served
from service.monitor.sinks.base import SinkQueue


@pytest.fixture
def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def samples(port):
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/metrics") as response,
    ):
        assert response.status == 200
        text = await response.text()
    return {
        (each.name.removeprefix("timbre_monitor_"), *each.labels.values()): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def event(state, label="flute"):
    return EventRecord(
        id="1", source="hall", label=label, state=state, start_ms=0, end_ms=None, peak=1.0,
        mean=1.0, not_heard_s=0.0, model="toy", version="1",
    )  # fmt: skip


async def test_every_source_is_shown_before_anything_is_heard(port):
    async with served(MonitorMetrics(["hall"]), "127.0.0.1", port):
        found = await samples(port)
    assert found == {
        **{("coverage_seconds_total", "hall", state): 0 for state in STATES},
        **{("problem", "hall", problem): 0 for problem in PROBLEMS},
    }


async def test_minutes_add_up_and_events_count_once(port):
    metrics = MonitorMetrics(["hall"])
    reasons = {"late": 1_500, "gap": 500}
    minute = MinuteRecord(
        source="hall", minute_ms=0, heard_ms=50_000, silent_ms=3_000, clipped_ms=1_000,
        not_connected_ms=4_000, dropped_ms=reasons,
    )  # fmt: skip
    for record in (minute, minute, event("onset"), event("offset"), event("onset", 'a"b\n')):
        metrics.record(record)
    async with served(metrics, "127.0.0.1", port):
        found = await samples(port)
    spent = {state: found["coverage_seconds_total", "hall", state] for state in STATES}
    assert spent == {
        "heard": 100, "silent": 6, "clipped": 2, "dropped": 4, "not_connected": 8,
    }  # fmt: skip
    assert sum(spent.values()) == 120
    assert found["events_total", "hall", "flute"] == 1
    assert found["events_total", "hall", 'a"b\n'] == 1


async def test_a_problem_is_1_until_another_or_none_is_told(port):
    metrics = MonitorMetrics(["hall", "roof"])

    def told(problem):
        metrics.record(ProblemRecord(source="hall", at_ms=0, problem=problem, detail=""))

    async with served(metrics, "127.0.0.1", port):
        for problem in ("silent", "no sound", ""):
            told(problem)
            found = await samples(port)
            assert [each for each in PROBLEMS if found["problem", "hall", each]] == (
                [problem] if problem else []
            )
            assert not any(found["problem", "roof", each] for each in PROBLEMS)


async def test_what_waits_for_a_sink_and_what_it_lost_are_told(port):
    class Away:
        async def write(self, records):
            raise OSError("away")

        async def close(self):
            pass

    metrics, queue = MonitorMetrics([]), SinkQueue("jsonl 0", Away(), limit=2)
    for _ in range(5):
        queue.put(event("onset"))
    metrics.sink(queue)
    async with served(metrics, "127.0.0.1", port):
        found = await samples(port)
    assert found == {("sink_waiting", "jsonl 0"): 2, ("sink_lost", "jsonl 0"): 3}


async def test_a_port_in_use_is_named(port):
    endpoint = served(MonitorMetrics([]), "127.0.0.1", port)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(TimbreError, match=f"cannot listen on 127.0.0.1:{port}: "),
    ):
        await endpoint.__aenter__()


async def test_without_a_port_nothing_listens():
    before = len(asyncio.all_tasks())
    async with served(MonitorMetrics([]), "127.0.0.1", 0):
        assert len(asyncio.all_tasks()) == before
