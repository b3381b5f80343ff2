"""Jobs are sent while there is room, sent again if Redis lost them, rejected if it is full."""

import asyncio

import pytest

from common.errors import Busy
from tests.service.conftest import until
from tests.service.queue.test_contract import Doubler, job


async def test_the_bound_holds_for_all_gateways_together(start):
    model = Doubler()
    one, other = start(model=model), start(worker=False)
    await asyncio.gather(one.open(), other.open())
    model.open.clear()
    tasks = [asyncio.create_task(one.submit(job(n))) for n in range(6)]
    await until(lambda: len(one._sender._sent) == 6)
    with pytest.raises(Busy, match="6 jobs are pending"):
        await other.submit(job(7))
    model.open.set()
    await asyncio.gather(*tasks)


async def test_jobs_that_redis_lost_are_sent_again(own, start):
    model = Doubler()
    queue = start(own.url, model=model)
    await queue.open()
    model.open.clear()
    asked = [asyncio.create_task(queue.submit(job(n))) for n in range(6)]
    await until(lambda: model.calls and len(queue._sender._sent) == 6)
    own.kill()
    own.start()
    model.open.set()
    assert [answer.scores[0] for answer in await asyncio.gather(*asked)] == [
        2 * n for n in range(6)
    ]


async def test_full_memory_rejects_jobs_and_the_queue_recovers(own, start):
    queue = start(own.url)
    await queue.open()
    own.client.config_set("maxmemory", 1)
    asked = [queue.submit(job(n, live=live)) for n, live in enumerate((True, False))]
    for error in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(error, Busy)
        assert "unavailable" in str(error)
    assert queue.unavailable
    await asyncio.sleep(1.5)
    assert queue.unavailable
    own.client.config_set("maxmemory", 0)
    await until(lambda: not queue.unavailable)
    assert (await queue.submit(job(2))).scores[0] == 4
