"""The wall clock of a gateway's machine is set, forward and back, under a stream and clips."""

import asyncio
import time

import pytest

from service.client import Client
from service.client.events import End
from service.protocol import Window
from tests.chaos.conftest import returning
from tests.service.cli.test_keys import run
from tests.service.client.test_stream import of
from tests.service.conftest import RATE, noise, wav

HOUR_S = 3_600
TO_1970_S = 60 - int(time.time())
"""A board without a battery starts there, and jumps to the true time once it has a network."""
STEPS_S = (0, HOUR_S, -HOUR_S, TO_1970_S, 0)
HOP = 11_264


@pytest.mark.slow  # compiles a library that sets clocks
async def test_a_gateway_whose_clock_is_set_answers_as_if_nothing_were(
    victim, clock, artefacts, tmp_path
):
    keys = tmp_path / "keys.json"
    key = (
        await asyncio.to_thread(
            run, "keys", "create", "someone", "--keys", keys, "--rate", 3, "--streams", 1
        )
    )[1]
    command = (
        "-m",
        "service.cli.main",
        "serve",
        "--port",
        0,
        "--artefacts",
        artefacts,
        "--keys",
        keys,
    )
    server = victim(*command)
    (ready,) = await asyncio.to_thread(server.until, r" ready url=(\S+)")
    client, clip = Client(ready[1], key.strip()), wav(noise(2))
    async with (
        returning(server.process.pid),
        client.stream("toy", sample_rate=RATE, on_overload="complete") as stream,
    ):
        for n, seconds in enumerate(STEPS_S):
            clock(seconds)
            await stream.send(noise(2, seed=n))
            assert (await client.classify(clip, "toy"))["windows"]
            await asyncio.sleep(1.2)  # keys and artefacts are looked at every second
        await stream.finish()
        events = [event async for event in stream]
    sent = 2 * RATE * len(STEPS_S)
    windows = of(Window, events)
    assert len(windows) == 1 + (sent - 2 * RATE) // HOP
    assert all(0 <= each.age_ms.total < 10_000 for each in windows)
    assert events[-1] == End(
        reason="client ended", samples=sent, windows=len(windows), dropped=0, reconnects=0
    )
    hours = [int(match[1]) for match in server.find(r"^(\d\d):.* POST path=")]
    assert (hours[1] - hours[0]) % 24 in (1, 2)  # an hour may end in the meantime
    assert (hours[2] - hours[0]) % 24 in (23, 0)
