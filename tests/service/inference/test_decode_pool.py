"""Files are decoded within limits, and rejected past them."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack

import pytest

from common.errors import Busy, Late
from service.inference.decode_pool import SMALL_FILES, DecodePool
from tests.service.conftest import until


async def test_the_pool_is_bounded_and_admits_again_when_a_file_is_done():
    pool = DecodePool(threads=1, limit=2)
    with pool.admit(), pool.admit(), pytest.raises(Busy), pool.admit():
        pass
    with pool.admit(), pool.admit():
        assert await pool.run(lambda _: 42, deadline=time.monotonic() + 60) == 42
    pool.close()


async def test_a_thread_is_given_back_when_the_deadline_passes():
    pool = DecodePool(threads=1, limit=2)

    def endless(check):
        while True:
            check()

    with pytest.raises(Late):
        await pool.run(endless, deadline=time.monotonic() + 0.01)
    assert await pool.run(lambda _: 42, deadline=time.monotonic() + 60) == 42
    pool.close()


async def test_a_thread_is_given_back_when_the_client_has_left():
    pool = DecodePool(threads=1, limit=2)
    began = threading.Event()

    def endless(check):
        began.set()
        while True:
            check()

    task = asyncio.create_task(pool.run(endless, deadline=time.monotonic() + 3_600))
    await asyncio.to_thread(began.wait)
    task.cancel()
    assert await pool.run(lambda _: 42, deadline=time.monotonic() + 60) == 42
    with pytest.raises(asyncio.CancelledError):
        await task
    pool.close()


@pytest.mark.parametrize("leaves", [True, False])
async def test_work_that_nobody_waits_for_when_a_thread_is_free_does_not_begin(leaves):
    pool = DecodePool(threads=1, limit=2)
    free, ran = threading.Event(), []
    first = asyncio.create_task(pool.run(lambda _: free.wait(), deadline=time.monotonic() + 60))
    seconds = 3_600 if leaves else 0
    second = asyncio.create_task(
        pool.run(lambda _: ran.append(1), deadline=time.monotonic() + seconds)
    )
    await asyncio.sleep(0)
    if leaves:
        second.cancel()
        await asyncio.wait([second])
    free.set()
    with pytest.raises(asyncio.CancelledError if leaves else Late):
        await second
    assert await first
    assert await pool.run(lambda _: list(ran), deadline=time.monotonic() + 60) == []
    pool.close()


async def test_only_so_many_clips_are_decoded_at_one_time():
    pool = DecodePool(threads=1, limit=9)
    inside = most = 0

    async def work():
        nonlocal inside, most
        async with pool.decode_slot():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(9)))
    assert most == 2
    pool.close()


async def test_a_client_with_many_files_does_not_keep_another_waiting():
    pool = DecodePool(threads=1, limit=99)
    order, free = [], asyncio.Event()

    async def work(client):
        async with pool.decode_slot(client):
            order.append(client)
            await free.wait()

    tasks = [asyncio.create_task(work(client)) for client in "aaaaaaabbc"]
    await until(lambda: len(order) == 2)
    free.set()
    await asyncio.gather(*tasks)
    assert "".join(order) == "aaabcabaaa"
    pool.close()


@pytest.mark.parametrize("turn_came", [False, True])
async def test_a_slot_of_a_client_that_has_left_goes_to_the_next(turn_came):
    pool = DecodePool(threads=1, limit=99)
    got = []

    async def work(name):
        async with pool.decode_slot(name):
            got.append(name)

    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(pool.decode_slot("a"))
        await second.enter_async_context(pool.decode_slot("b"))
        leaving, staying = (asyncio.create_task(work(name)) for name in "cd")
        await asyncio.sleep(0)
        if turn_came:
            await first.aclose()
        leaving.cancel()
        await asyncio.wait([leaving])
    await asyncio.gather(staying, work("e"), work("f"))
    assert leaving.cancelled()
    assert "".join(got) == "def"
    pool.close()


async def test_small_files_do_not_wait_for_the_slots_of_large_ones_and_have_bounds_of_their_own():
    pool = DecodePool(threads=1, limit=99)
    async with AsyncExitStack() as large, AsyncExitStack() as small:
        for _ in range(2):
            await large.enter_async_context(pool.decode_slot("a"))
        for _ in range(SMALL_FILES):
            assert await small.enter_async_context(pool.decode_slot("a", small=True)) >= 0
        waiting = asyncio.create_task(small.enter_async_context(pool.decode_slot(small=True)))
        await asyncio.sleep(0)
        assert not waiting.done()
        await large.aclose()
        await asyncio.sleep(0)
        assert not waiting.done()
        await small.aclose()
        await waiting
    pool.close()
