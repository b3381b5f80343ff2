"""Audio is processed in turns: what waits is old, and a stream that is behind sheds load."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.service.conftest import RATE, begin, noise, pcm, rest_of, until

MS = 1e-3
HOP = 2_048
"""Samples of the shortest hop."""


class HeldTurns:
    """Turns that come when the test says so, after as long a wait as it says."""

    def __init__(self, server):
        self.waiting = []
        server.gateway.turns.request = lambda work, **_: self.waiting.append(work)

    def run(self, waited_s):
        while self.waiting:
            self.waiting.pop(0)(waited_s)


async def test_time_that_sound_waits_for_its_turn_counts_as_its_age(serve):
    server = await serve()
    async with server.stream() as socket:
        await begin(socket)
        turns, sent = HeldTurns(server), time.monotonic()
        await socket.send_bytes(pcm(noise(2)))
        await until(lambda: turns.waiting)
        arrived = time.monotonic()
        await asyncio.sleep(20 * MS)
        waited = time.monotonic() - arrived
        turns.run(0.0)
        age = (await socket.receive_json())["age_ms"]
    assert waited / MS <= age["waiting"] <= age["total"] <= (time.monotonic() - sent) / MS
    assert age["total"] >= age["waiting"] + age["features"] + age["queue"] + age["model"]


async def test_with_the_time_of_capture_the_age_counts_from_there(serve):
    server = await serve()
    captured = datetime.now(UTC) - timedelta(seconds=3_600)
    async with server.stream() as socket:
        await begin(socket, captured_at=captured.isoformat())
        await socket.send_bytes(pcm(noise(2)))
        age = (await socket.receive_json())["age_ms"]
    told_s = age["total"] * MS
    assert 3_598 <= told_s <= (datetime.now(UTC) - captured).total_seconds() - 2


@pytest.mark.parametrize(("age", "answered"), [(0.45, 11), (0.55, 1), (0.7, 1), (0.8, 0)])
async def test_a_stream_that_waited_long_computes_what_is_not_old_and_its_newest(
    serve, age, answered
):
    server = await serve(window_deadline=100.0)
    async with server.stream() as socket:
        await begin(socket, hop=0.1)
        turns = HeldTurns(server)
        await socket.send_bytes(pcm(noise(3)))
        await until(lambda: turns.waiting)
        server.gateway.turns.clock = lambda: time.monotonic() + 100 * age
        turns.run(0.11)
        await socket.send_json({"type": "end"})
        await until(lambda: turns.waiting)
        turns.run(0.0)
        *messages, end, _ = await rest_of(socket)
    starts = [each.get("start_sample", each.get("from_sample")) for each in messages]
    assert starts == [n * HOP for n in range(11)]
    fates = [each.get("reason", each["type"]) for each in messages]
    assert fates == ["overload"] * (11 - answered) + ["window"] * answered
    assert sum(end[f"samples_{fate}"] for fate in ("processed", "dropped", "tail")) == RATE * 3
    shed_s = server.gateway.load_shedder.duration_s(time.monotonic() + 100 * age)
    assert (shed_s > 0) is (answered < 11)


async def test_a_stream_that_did_not_wait_drops_nothing_however_old_its_sound(serve):
    server = await serve()
    async with server.stream() as socket:
        await begin(socket, hop=0.1)
        turns = HeldTurns(server)
        await socket.send_bytes(pcm(noise(0.1)))
        await until(lambda: turns.waiting)
        turns.run(0.0)
        await socket.send_bytes(pcm(noise(2.9)))
        await until(lambda: turns.waiting)
        turns.run(0.0)
        await socket.send_json({"type": "end"})
        await until(lambda: turns.waiting)
        turns.run(0.0)
        *messages, _, _ = await rest_of(socket)
    assert {each["type"] for each in messages} == {"window"}


async def test_with_complete_a_stream_that_waited_long_drops_nothing(serve):
    server = await serve(window_deadline=0.01)
    async with server.stream() as socket:
        await begin(socket, hop=0.1, on_overload="complete")
        turns = HeldTurns(server)
        await socket.send_bytes(pcm(noise(3)))
        await socket.send_json({"type": "end"})
        await until(lambda: turns.waiting)
        turns.run(30.0)
        await until(lambda: turns.waiting or not server.gateway.streams)
        turns.run(30.0)
        *messages, end, _ = await rest_of(socket)
    assert [each["type"] for each in messages] == ["window"] * (1 + RATE // HOP)
    assert end["samples_dropped"] == 0
