"""The line before Redis: as much under way as comes back soon, the rest where newer windows overtake."""

import asyncio
import time

import numpy as np
import pytest

from common.errors import Busy
from service.queue.flow_control import DECAY, FIRST, GROWTH, LEAST, SOON_S, ByteBudget, FlowControl
from service.queue.redis import RedisQueue
from service.queue.redis_consumer import RedisConsumer
from service.server.worker import Worker
from tests.service.queue.test_local import DEADLINE, MS, Crowd, Slow, job


@pytest.fixture
def line():
    line = FlowControl(limit=3)
    line.credit = 1.0
    return line


async def entering(line, *jobs):
    tasks = [asyncio.create_task(line.acquire(each)) for each in jobs]
    await asyncio.sleep(0)
    return tasks


def done(tasks):
    return [task.done() for task in tasks]


async def test_no_more_go_than_have_credit_and_each_that_leaves_lets_the_next_one_go(line):
    tasks = await entering(line, *(job(n, f"s{n}") for n in range(3)))
    assert (done(tasks), len(line)) == ([True, False, False], 2)
    line.release(None)
    await asyncio.sleep(0)
    assert (done(tasks), len(line)) == ([True, True, False], 1)
    line.release(None)
    await asyncio.wait_for(line.empty(), 1)
    assert not any(task.exception() for task in tasks)


async def test_a_stream_that_waited_too_long_gives_its_newest(line):
    await entering(line, job(0, "s"))
    old, new = await entering(line, job(1, "s", seconds=4 * MS), job(2, "s", seconds=9))
    await asyncio.sleep(2 * MS)
    line.release(None)
    with pytest.raises(Busy, match="overtaken"):
        await old
    await new


async def test_the_line_is_bounded_and_a_streams_newest_takes_the_place_of_its_oldest(line):
    await entering(line, job(0, "a"))
    first, *_ = await entering(line, *(job(n, "a") for n in (1, 2, 3)))
    with pytest.raises(Busy, match="3 jobs"):
        await line.acquire(job(1, "b"))
    await entering(line, job(4, "a"))
    with pytest.raises(Busy, match="pushed out"):
        await first
    assert len(line) == 3


async def test_who_is_cancelled_leaves_no_trace_not_even_at_the_moment_of_its_turn(line):
    await entering(line, job(0, "a"))
    waiting, lucky, last = await entering(line, *(job(n, f"s{n}") for n in (1, 2, 3)))
    waiting.cancel()
    await asyncio.sleep(0)
    assert len(line) == 2
    line.release(None)
    lucky.cancel()
    await asyncio.wait_for(last, 1)
    line.release(None)
    assert line._under_way == 0


async def test_who_is_cancelled_at_the_moment_it_is_refused_gives_no_credit_away(line):
    await entering(line, job(0, "a"))
    refused, *others = await entering(line, *(job(n, "a") for n in (1, 2, 3)))
    others.append(asyncio.create_task(line.acquire(job(4, "a"))))
    asyncio.get_running_loop().call_soon(refused.cancel)
    await asyncio.wait((refused,))
    assert refused.cancelled()
    await asyncio.sleep(0)
    assert (done(others), len(line), line._under_way) == ([False] * 3, 3, 1)


@pytest.mark.parametrize(("size", "good"), [(3, True), (4, False)])
def test_the_bound_in_bytes_holds_at_both_sides_and_what_ends_is_given_back(size, good):
    weight = ByteBudget(limit=10)
    with weight.hold(7):
        if good:
            with weight.hold(size):
                pass
        else:
            with pytest.raises(Busy, match="7 bytes"), weight.hold(size):
                pass
    with weight.hold(10):
        pass


async def test_credit_grows_while_answers_come_soon_and_shrinks_while_they_do_not():
    line = FlowControl(limit=10)
    line.release(SOON_S)
    assert line.credit == FIRST  # nobody waited
    line.release(SOON_S + MS)
    assert line.credit == FIRST - DECAY
    for _ in range(2 * int(FIRST / DECAY)):
        line.release(1.0)
    assert line.credit == LEAST
    line._under_way = 1_000
    await entering(line, job(1, "a"))
    line.release(SOON_S)
    assert line.credit == LEAST + GROWTH


async def test_under_overload_the_worker_never_rests_and_what_is_answered_is_young(redis_url):
    slow = Slow(row_s=2 * MS)
    worker = Worker(
        RedisConsumer(redis_url, name="w"), lambda *_: slow, max_batch=8, pulse=lambda: None
    )
    working = asyncio.create_task(worker.run())
    queue = RedisQueue(redis_url, max_jobs=4_096)
    await queue.open()
    crowd = Crowd(queue)
    begin = time.monotonic()
    # 75 streams every 50 ms are 1,500 rows a second; the worker does at most 500.
    await asyncio.gather(*(crowd.stream(f"s{n}", every=50 * MS, until=2) for n in range(75)))
    await asyncio.gather(*crowd.tasks)
    took = time.monotonic() - begin
    answered = crowd.count("answered")
    await queue.close()
    worker.shut_down()
    await working
    assert sum(crowd.fates.values()) == 75 * 40
    assert slow.busy_s >= 0.7 * took
    assert sum(answered.values()) >= 0.8 * slow.rows
    assert np.percentile(crowd.ages, 99) < DEADLINE
