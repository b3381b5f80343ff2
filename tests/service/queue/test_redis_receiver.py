"""Each gateway gets the replies to its own jobs, once; it drops all others."""

import asyncio

import numpy as np

from service.queue.base import Reply
from service.queue.codec import encode_reply
from service.queue.redis_keys import REPLIES
from tests.service.conftest import until
from tests.service.queue.test_contract import MS, job


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
