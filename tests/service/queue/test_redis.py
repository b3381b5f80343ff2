"""The gateway's side of the Redis queue: Redis lost or full, invalid replies, no worker."""

import asyncio

import numpy as np
import pytest

from common.errors import Busy, Late, Unprocessable
from service.queue.base import Reply
from service.queue.codec import encode_reply
from service.queue.redis import RedisQueue
from service.queue.redis_connection import connect, create_streams, redacted
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import CLIP_JOBS, GROUP, LIVE_JOBS, REPLIES
from service.server.worker import Worker
from tests.service.conftest import until
from tests.service.helpers.redis_server import start_redis
from tests.service.queue.test_contract import MS, Doubler, job


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


async def test_without_a_worker_the_queue_is_unhealthy_until_one_starts(start, redis_url):
    queue = start(worker=False)
    opening = asyncio.create_task(queue.open())
    await until(lambda: "no worker" in queue.unavailable)
    assert not opening.done()
    waiting = asyncio.create_task(queue.submit(job(1)))
    start()
    await opening
    assert (await waiting).scores[0] == 2
    assert not queue.unavailable


async def test_two_gateways_share_one_worker_and_each_gets_its_own(start):
    one = start(max_jobs=20)
    other = start(worker=False, max_jobs=20)
    await asyncio.gather(one.open(), other.open())
    answers = await asyncio.gather(
        *(queue.submit(job(n + 100 * i)) for n in range(5) for i, queue in enumerate((one, other)))
    )
    assert [answer.scores[0] for answer in answers] == [
        2 * (n + 100 * i) for n in range(5) for i in (0, 1)
    ]


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


async def test_late_second_and_invalid_replies_are_dropped(start, redis_server):
    queue = start()
    await queue.open()
    key = REPLIES + queue._name
    for data in (encode_reply(Reply("unknown", np.ones(1, np.float32), 0.0)), b"junk"):
        redis_server.client.xadd(key, {"answers": data})
    redis_server.client.xadd(key, {"other": b"x"})
    assert (await queue.submit(job(1))).scores[0] == 2
    await asyncio.sleep(20 * MS)
    redis_server.client.xadd(
        key, {"answers": encode_reply(Reply("1", np.zeros(1, np.float32), 0.0))}
    )
    assert (await queue.submit(job(2))).scores[0] == 4
    await until(lambda: redis_server.client.xlen(key) == 0)


async def test_nothing_is_left_in_redis(start, redis_server, redis_url):
    model = Doubler()
    queue = start(model=model)
    await queue.open()
    await asyncio.gather(*(queue.submit(job(n)) for n in range(5)))
    model.open.clear()
    with pytest.raises(Late):
        await queue.submit(job(6, seconds=50 * MS))
    model.open.set()
    await queue.submit(job(7))
    await queue.close()
    client = redis_server.client
    await until(lambda: client.xlen(LIVE_JOBS) == 0)
    assert client.exists(REPLIES + queue._name) == 0
    assert (len(queue._sender), queue.depth) == (0, 0)


async def test_a_lost_redis_is_reported_at_once_and_the_queue_recovers_with_it(own, start):
    queue = start(own.url)
    await queue.open()
    assert (await queue.submit(job(1))).scores[0] == 2
    own.kill()
    await until(lambda: queue.unavailable)
    with pytest.raises(Busy, match="unavailable"):
        await queue.submit(job(2))
    own.start()  # and it has forgotten everything
    await until(lambda: not queue.unavailable)
    assert (await queue.submit(job(3))).scores[0] == 6


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


async def test_a_job_in_flight_when_redis_is_lost_ends_at_its_deadline(own, start):
    model = Doubler()
    queue = start(own.url, model=model)
    await queue.open()
    model.open.clear()
    asked = asyncio.create_task(queue.submit(job(1, seconds=3.0)))
    await until(lambda: model.calls)
    own.kill()
    with pytest.raises(Late):
        await asked
    model.open.set()
    own.start()
    await until(lambda: not queue.unavailable)
    assert (await queue.submit(job(2))).scores[0] == 4


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


async def test_closing_ends_without_redis(tmp_path):
    queue = RedisQueue(f"unix://{tmp_path}/none", max_jobs=1)
    opening = asyncio.create_task(queue.open())
    await until(lambda: "unavailable" in queue.unavailable)
    assert not opening.done()
    opening.cancel()
    await queue.close()


async def test_preparing_twice_is_no_error_and_other_errors_are_not_swallowed(
    redis_server, redis_url
):
    client = connect(redis_url)
    try:
        await create_streams(client)
        await create_streams(client)
        assert redis_server.client.xinfo_groups(CLIP_JOBS)[0]["name"] == GROUP.encode()
        redis_server.client.flushall()
        redis_server.client.set(LIVE_JOBS, "not a stream")
        with pytest.raises(Exception, match="WRONGTYPE"):
            await create_streams(client)
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis+sentinel://a/b",
        "redis://h:port",
        "redis+cluster://a",
    ],
)
def test_an_invalid_url_is_rejected(url):
    with pytest.raises(Unprocessable, match="Redis address"):
        connect(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@host:1/2", "redis://host:1/2"),
        ("rediss://:secret@host?password=secret", "rediss://host"),
        ("unix:///tmp/redis.sock", "unix:/tmp/redis.sock"),
        ("redis+sentinel://:secret@a:1,b:2/name", "redis+sentinel://a:1,b:2/name"),
        ("rediss+cluster://me:secret@a:1,b:2?ssl_ca_certs=x", "rediss+cluster://a:1,b:2"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert redacted(url) == shown
    connect(url)
