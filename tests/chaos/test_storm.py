"""Random faults of Redis and workers: each job has one outcome, and the queue recovers."""

import asyncio
import collections
import contextlib
import itertools
import os
import random
import signal
import time

from common.errors import Busy, Failed, Late
from service.queue.redis_keys import CLIP_JOBS, GATEWAYS, GROUP, LIVE_JOBS, REPLIES, WORKERS
from tests.chaos.conftest import LONG, returning
from tests.chaos.test_workers import DOUBLER, nothing_left, queue_at
from tests.service.conftest import until
from tests.service.queue.test_contract import job

SECONDS = 40 if LONG else 5
HANGS_S = 60
"""A job without an outcome so long after its deadline has none."""


class Storm:
    """Faults of Redis and of workers, one after the other, each over when the next one begins."""

    def __init__(self, redis, start, *, chance):
        self.redis, self.chance = redis, chance
        self._start = start
        self.workers = [start(), start()]
        self._faults = [getattr(self, name) for name in dir(self) if name.startswith("fault_")]

    async def blow(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self.chance.uniform(0.1, 1.0))
            with contextlib.suppress(Exception):  # Redis has just begun again, or has no such key
                await self.chance.choice(self._faults)()

    async def _pause(self):
        await asyncio.sleep(self.chance.uniform(0.1, 1.5))

    async def fault_connections_cut(self):
        self.redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def fault_redis_stopped(self):
        self.redis.signal(signal.SIGSTOP)
        await self._pause()
        self.redis.signal(signal.SIGCONT)

    async def fault_redis_killed(self):
        self.redis.kill()
        await self._pause()
        await asyncio.to_thread(self.redis.start)

    async def fault_all_forgotten(self):
        self.redis.client.flushall()

    async def fault_some_forgotten(self):
        for pattern in self.chance.sample(
            [LIVE_JOBS, CLIP_JOBS, WORKERS, f"{REPLIES}*", f"{GATEWAYS}*"], 2
        ):
            self.redis.client.delete(*self.redis.client.keys(pattern))

    async def fault_group_gone(self):
        self.redis.client.xgroup_destroy(self.chance.choice([LIVE_JOBS, CLIP_JOBS]), GROUP)

    async def fault_full(self):
        self.redis.client.config_set("maxmemory", 1)
        await self._pause()
        self.redis.client.config_set("maxmemory", 0)

    async def fault_read_only(self):
        self.redis.client.replicaof("127.0.0.1", 1)
        await self._pause()
        self.redis.client.replicaof("NO", "ONE")

    async def fault_worker_killed(self):
        n = self.chance.randrange(2)
        self.workers[n].kill()
        self.workers[n].end()
        self.workers[n] = self._start()

    async def fault_worker_stopped(self):
        worker = self.chance.choice(self.workers)
        worker.signal(signal.SIGSTOP)
        await self._pause()
        worker.signal(signal.SIGCONT)


async def ask(queue, numbers, over, outcomes, *, live, chance):
    """Submit one job after the other; count the outcomes."""
    while not over.is_set():
        number, seconds, begun = next(numbers), chance.uniform(0.3, 3), time.monotonic()
        try:
            answer = await queue.submit(job(number, seconds=seconds, live=live))
        except (Busy, Late, Failed) as error:
            outcomes[type(error).__name__] += 1
            await asyncio.sleep(0.02)
        else:
            outcomes["answered" if answer.scores[0] == 2 * number else "wrong"] += 1
        outcomes["overdue"] += time.monotonic() > begun + seconds + HANGS_S


async def test_a_storm_of_faults_leaves_no_job_without_an_outcome_and_nothing_behind(
    victim, own_redis, request
):
    chance = random.Random(request.node.name)
    storm = Storm(own_redis, lambda: victim(*DOUBLER, own_redis.url, 0.01), chance=chance)
    numbers, over, outcomes = itertools.count(1_000), asyncio.Event(), collections.Counter()
    async with queue_at(own_redis.url) as one, queue_at(own_redis.url) as other:
        asking = [
            asyncio.create_task(
                ask((one, other)[n % 2], numbers, over, outcomes, live=n % 3 > 0, chance=chance)
            )
            for n in range(20)
        ]
        async with returning(os.getpid()):
            await storm.blow(SECONDS)
            await until(lambda: not (one.unavailable or other.unavailable))
            before = outcomes["answered"]
            await until(lambda: outcomes["answered"] > before + 100)
            over.set()
            await asyncio.gather(*asking)
            await until(lambda: nothing_left(own_redis.client))
    for worker in storm.workers:
        worker.until("worker ready")  # before that, a signal ends it as it ends any process
    assert outcomes["wrong"] == outcomes["overdue"] == 0
    assert [worker.end() for worker in storm.workers] == [0, 0]
    assert not [line for worker in storm.workers for line in worker.log if "Traceback" in line]
