"""Files are decoded within limits, and rejected past them."""

import asyncio

import pytest

from common.errors import Busy
from service.inference.decode_pool import DecodePool


async def test_the_pool_is_bounded_and_admits_again_when_a_file_is_done():
    pool = DecodePool(threads=1, limit=2)
    with pool.admit(), pool.admit(), pytest.raises(Busy), pool.admit():
        pass
    with pool.admit(), pool.admit():
        assert await pool.run(lambda: 42) == 42
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
