"""Three days of sound at full speed: every event once, everywhere, in memory that stays flat.

`python -m pytest -m slow tests/service/test_three_days.py`; HOURS=24 for less of it;
`--junitxml FILE -o junit_family=xunit1` writes the memory of each hour.
"""

import asyncio
import gc
import os
from collections import deque
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.memory import private
from service.client import Client
from service.client.events import End
from service.protocol import Dropped, LabelEvent, Window
from tests.helpers.server_process import free_port, killable_server, server_process
from tests.service.api.test_events import next_event
from tests.service.conftest import RATE, noise, pcm, tone
from tests.service.helpers.page import APP, FAKE, MICROPHONE, OPEN, READY, page
from tests.service.page.test_listen import HOURS as PAGE_HOURS
from tests.service.page.test_listen import memory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7_200)]  # half an hour of two cores

HOURS = int(os.environ.get("HOURS", "72"))
WARM = 16
"""Hours until the feed keeps as many events as it ever will."""
HOP, TOLERANCE_S = 2.0, 2.1
TURN_S, TURNS = 10, 6
"""A minute is of tone and noise, in turns."""
MOST_BEHIND = 10_000
"""Events by which the server and its client may differ while both are at work."""
GROWTH = 1.05


class Compared:
    """The events of the client beside those that the server publishes, in fixed memory."""

    def __init__(self):
        self.published, self.own = deque(), deque()
        self.count, self.ends, self.missed, self.changed = 0, [], 0, asyncio.Event()

    async def follow(self, response):
        """Take what `GET /v1/events` sends."""
        while True:
            told = await next_event(response)
            if told["event"] == "missed":
                self.missed += 1
            else:
                self.put(self.published, told["data"])

    def put(self, side, event):
        keys = ("label", "state", "start", "end", "peak", "mean", "not_heard")
        side.append({key: event[key] for key in keys})
        while self.published and self.own:
            event = self.own.popleft()
            assert self.published.popleft() == event
            self.count += 1
            if event["state"] == "offset":
                self.ends = [*self.ends[-1:], event]
                self.check()
        assert max(len(self.published), len(self.own)) < MOST_BEHIND
        self.changed.set()

    def check(self):
        """Turn after turn, each as long as it is, as far as hops can tell."""
        for before, after in pairwise(self.ends):
            assert {before["label"], after["label"]} == {"tone", "noise"}
            assert abs(after["end"] - before["end"] - TURN_S) <= TOLERANCE_S
        assert self.ends[-1]["not_heard"] == 0


async def sent(stream, measured, process):
    """Send the hours; note the memory of the server and of this process after each."""
    parts = [(tone, noise)[n % 2](TURN_S) for n in range(TURNS)]
    minute = pcm(np.concatenate(parts))
    for _ in range(HOURS):
        for _ in range(60):
            await stream.send(minute)
        gc.collect()
        measured.append((private(process.pid), private(os.getpid())))
    await stream.finish()


async def heard(stream, compared):
    """Return the counts of windows and of drops, and the end."""
    windows = dropped = 0
    async for event in stream:
        if isinstance(event, LabelEvent):
            compared.put(compared.own, vars(event))
        windows += isinstance(event, Window)
        dropped += isinstance(event, Dropped)
    assert isinstance(event, End)
    return windows, dropped, event


async def test_a_stream_of_three_days_has_every_event_once_in_the_same_memory(
    artefacts, record_property
):
    port = free_port()
    compared, measured = Compared(), []
    with killable_server(artefacts, port) as process:
        client = Client(f"http://127.0.0.1:{port}")
        async with (
            client._session() as http,
            http.get(f"{client.url}/v1/events", timeout=None) as response,
            client.stream(
                "toy", sample_rate=RATE, hop=HOP, on_overload="complete",
                events=True, publish=True, source="garden",
            ) as stream,
        ):  # fmt: skip
            following = asyncio.create_task(compared.follow(response))
            sending = asyncio.create_task(sent(stream, measured, process))
            windows, dropped, end = await heard(stream, compared)
            await sending
            while compared.own:
                compared.changed.clear()
                await asyncio.wait_for(compared.changed.wait(), 60)
            following.cancel()
    assert (dropped, end.dropped, end.reconnects, compared.missed) == (0, 0, 0, 0)
    assert end.samples == HOURS * 3_600 * RATE
    assert windows == end.windows > HOURS * 3_600 / HOP * 0.97
    # Each turn begins and ends once.
    assert compared.count == 2 * HOURS * 60 * TURNS
    for name, side in zip(("server", "client"), zip(*measured, strict=True), strict=True):
        record_property(name, [round(each / 2**20, 1) for each in side])
        assert max(side[WARM:]) < GROWTH * side[WARM - 1], side


async def test_the_page_that_listens_for_three_days_stays_in_the_same_memory(record_property):
    with server_process() as address:
        async with page(address + "/", *FAKE) as tab:
            await tab.run(APP)
            await tab.until(READY)
            await tab.run(MICROPHONE)
            await tab.until(OPEN)
            await tab.run(f"{PAGE_HOURS}(0, {60 * WARM})")
            before, nodes = await memory(tab)
            for hour in range(WARM, HOURS):
                counts = await tab.run(f"{PAGE_HOURS}({60 * hour}, {60 * hour + 60})")
            after, nodes_after = await memory(tab)
    record_property("page", [round(each / 2**20, 1) for each in (before, after)])
    assert counts[:2] == [500, 200]
    assert nodes_after < nodes + 20
    assert after < GROWTH * before
