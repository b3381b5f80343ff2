"""Queues in Redis with workers, and a Redis that a test may stop."""

import asyncio

import pytest

from service.queue.redis import RedisQueue
from service.queue.redis_consumer import RedisConsumer
from service.server.worker import Worker
from tests.service.helpers.redis_server import start_redis
from tests.service.queue.test_contract import Doubler


@pytest.fixture
async def start(redis_url):
    """Make queues, and workers for them."""
    made = []

    def make(url=redis_url, *, worker=True, model=None, max_jobs=6):
        queue = RedisQueue(url, max_jobs=max_jobs)
        made.append((queue, None, None))
        if worker:
            name = f"w{len(made)}"
            find = lambda *_: model or Doubler()  # noqa: E731
            worker = Worker(
                RedisConsumer(url, name=name), find, max_batch=4, heartbeat=lambda: None
            )
            made[-1] = (queue, worker, asyncio.create_task(worker.run()))
        return queue

    yield make
    for queue, worker, working in made:
        await queue.close()
        if worker:
            worker.shut_down()
            await working


@pytest.fixture
async def own(tmp_path_factory):
    """A redis-server that the test may stop."""
    server = start_redis(tmp_path_factory)
    yield server
    server.end()
