"""Gateways and workers in processes of their own are killed and shut down under load."""

import asyncio
import signal

import numpy as np
import pytest

from common.errors import TimbreError
from service.client import Client
from service.client.events import End
from service.queue.redis_keys import CLIP_JOBS, GROUP, LIVE_JOBS
from tests.chaos.conftest import GROWTH, LONG, SPARE, handles, resident
from tests.service.conftest import noise, tone, until, wav
from tests.service.helpers.proxy import proxied

RATE = 22_050
STREAMS = 40 if LONG else 4
PAUSE_S = 0 if LONG else 0.03
"""Between the clips of one client."""
HOP = 11_264
OVERLOAD = ("complete", "latest")


class Machines:
    """Gateways and workers that share one Redis."""

    def __init__(self, victim, url, artefacts):
        self._start = lambda *command: victim(
            "-m", "service.cli.main", *command, "--redis", url, "--artefacts", artefacts
        )

    async def gateway(self, *, port=0):
        process = self._start("serve", "--workers", 0, "--port", port)
        (ready,) = await asyncio.to_thread(process.until, r" ready url=(\S+)")
        return process, ready[1]

    async def worker(self):
        process = self._start("worker")
        await asyncio.to_thread(process.until, "worker ready")
        return process


async def listen(url, seconds, over, **start):
    """Stream at real speed until `over`; return the end."""
    sound = np.concatenate(
        [tone(1, 300), noise(1), tone(1, 700), noise(1, seed=1)] * (seconds // 4 + 1)
    )
    async with Client(url).stream("toy", sample_rate=RATE, **start) as stream:

        async def feed():
            loop = asyncio.get_running_loop()
            zero, at = loop.time(), 0
            while not over.is_set():
                await stream.send(sound[at : at + RATE // 4])
                at += RATE // 4
                await asyncio.sleep(zero + at / RATE - loop.time())
            await stream.finish()

        feeding = asyncio.create_task(feed())
        *_, end = [event async for event in stream]
        await feeding
    return end


async def classify(url, over):
    """Send clip after clip until `over`; return how many were sent, answered and rejected."""
    sent = answered = refused = 0
    clip = wav(noise(2))
    while not over.is_set():
        sent += 1
        try:
            async with asyncio.timeout(60):
                answered += len((await Client(url).classify(clip, "toy"))["windows"]) == 1
            await asyncio.sleep(PAUSE_S)
        except TimbreError:
            refused += 1
            await asyncio.sleep(0.05)
    return sent, answered, refused


@pytest.mark.slow  # eight processes
async def test_every_machine_goes_down_once_under_load_and_nothing_is_lost_or_left(
    victim, own_redis, artefacts
):
    machines = Machines(victim, own_redis.url, artefacts)
    workers = await asyncio.gather(machines.worker(), machines.worker())
    (one, first), (two, second) = await asyncio.gather(machines.gateway(), machines.gateway())
    ports = [int(url.rsplit(":", 1)[1]) for url in (first, second)]
    over = asyncio.Event()
    idle = handles(two.process.pid)
    async with proxied(first) as (proxy, url):
        # The proxy stands for what spreads clients over gateways and turns away from a dead one.
        listening = [
            asyncio.create_task(
                listen(url if n % 2 else second, 40, over, on_overload=OVERLOAD[n // 2 % 2])
            )
            for n in range(STREAMS)
        ]
        asking = [asyncio.create_task(classify(each, over)) for each in (url, second)]
        await asyncio.sleep(2.5)
        workers[0].kill()
        workers.append(await machines.worker())
        workers[1].signal(signal.SIGTERM)
        assert await asyncio.to_thread(workers[1].process.wait, 60) == 0
        proxy.port = ports[1]
        one.kill()
        three, third = await machines.gateway()
        proxy.port = int(third.rsplit(":", 1)[1])
        grown = resident(two.process.pid)
        two.signal(signal.SIGTERM)
        assert await asyncio.to_thread(two.process.wait, 60) == 0
        four, _ = await machines.gateway(port=ports[1])
        workers[2].kill()
        workers.append(await machines.worker())
        await asyncio.sleep(2)
        over.set()
        ends = await asyncio.gather(*listening)
        counts = await asyncio.gather(*asking)
    for end in ends:
        assert end == End(
            reason="client ended",
            samples=end.samples,
            windows=end.windows,
            dropped=end.dropped,
            reconnects=end.reconnects,
        )
        assert end.windows + end.dropped == 1 + (end.samples - 2 * RATE) // HOP
    assert all(end.reconnects for end in ends)
    # Of `latest`, windows that a killed worker held come late, and others on a machine that is busy
    # with other things.
    assert [end.dropped for n, end in enumerate(ends) if OVERLOAD[n // 2 % 2] == "complete"] == [
        0
    ] * (STREAMS // 2)
    for sent, answered, refused in counts:
        assert sent == answered + refused
        assert answered
    client = own_redis.client
    await until(
        lambda: all(
            client.xlen(each) == client.xpending(each, GROUP)["pending"] == 0
            for each in (LIVE_JOBS, CLIP_JOBS)
        )
    )
    for gateway in (three, four):
        await until(lambda gateway=gateway: handles(gateway.process.pid) <= idle + SPARE)
        assert resident(gateway.process.pid) < grown + GROWTH
