"""A stream whose socket is cut many times and whose gateway is killed gets the same results."""

import asyncio
import random

import pytest

from service.client import Client
from service.client.events import End
from service.protocol import Window
from tests.chaos.conftest import LONG
from tests.service.client.test_stream import comparable, music, of
from tests.service.helpers.proxy import proxied

CUTS, SECONDS = (50, 25) if LONG else (15, 10)
RATE = 48_000
WINDOWS = 1 + (SECONDS * 22_050 - 44_100) // 2_048
OPTIONS = {"sample_rate": RATE, "encoding": "pcm_f32le", "hop": 0.1, "on_overload": "complete"}
"""`complete`: the sound is sent as fast as it is taken, and a window that is dropped would be a
fault."""


async def serve(victim, artefacts, *, port=0):
    """Return a server in a process of its own, and its address."""
    server = victim("-m", "service.cli.main", "serve", "--port", port, "--artefacts", artefacts)
    (ready,) = await asyncio.to_thread(server.until, r" ready url=(\S+)")
    return server, ready[1]


async def listen(url, sound, disturb=None):
    """Stream a sound in parts, `disturb(stream, n)` after each; return the events."""
    # Its scores tell a window from one that begins a sample later; those of a forest would not.
    async with Client(url).stream("toy-net", **OPTIONS) as stream:

        async def feed():
            step = len(sound) // CUTS
            for n in range(CUTS):
                await stream.send(sound[n * step : (n + 1) * step])
                if disturb:
                    await disturb(stream, n)
            await stream.finish()

        feeding = asyncio.create_task(feed())
        events = [event async for event in stream]
        await feeding
    return events


async def until_true(condition):
    while not condition():  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.001)


async def test_many_cuts_and_two_killed_gateways_change_nothing(victim, artefacts):
    (first, address), (second, other) = await asyncio.gather(
        serve(victim, artefacts), serve(victim, artefacts)
    )
    port = int(other.rsplit(":", 1)[1])
    sound = music(SECONDS, rate=RATE)
    whole = await listen(address, sound)
    chance = random.Random(1)
    cuts = 0

    async def disturb(stream, n):
        nonlocal cuts
        # Most cuts fall among the answers to this part, some before the stream has come back from
        # the cut before.
        if n % 5:
            await until_true(lambda: stream.windows >= (n - 4) * (WINDOWS - 40) / CUTS)
        await until_true(lambda: proxy.connected)
        await asyncio.sleep(chance.uniform(0, 0.02))
        cuts += proxy.connected
        if n == CUTS // 3:
            proxy.port = port
            first.kill()
        elif n == 2 * CUTS // 3:
            second.kill()
            restarting.append(asyncio.create_task(serve(victim, artefacts, port=port)))
        proxy.cut()

    restarting = []
    async with proxied(address) as (proxy, url):
        broken = await listen(url, sound, disturb)
    await asyncio.gather(*restarting)
    assert cuts == CUTS
    expected, got = of(Window, whole), of(Window, broken)
    assert len(got) == WINDOWS
    assert comparable(got) == comparable(expected)
    for one, another in zip(got, expected, strict=True):
        assert one.scores == pytest.approx(another.scores, abs=2e-6)
    end = broken[-1]
    assert end == End(
        reason="client ended",
        samples=len(sound),
        windows=WINDOWS,
        dropped=0,
        reconnects=end.reconnects,
    )
    # A connection that is cut before its first word belongs to the return that is under way: how
    # many there are depends on the machine, but for the two gateways that were killed.
    assert 2 <= end.reconnects <= CUTS
