"""Each reply reaches its job, and finished jobs are removed."""

import asyncio

import pytest

from service.queue.base import Reply
from service.queue.pending import PendingReplies

REPLY = Reply("a", None, 1.0)


async def test_a_reply_reaches_its_job():
    replies = PendingReplies()
    with replies.expect("a") as future, replies.expect("b") as other:
        assert replies.resolve(REPLY)
        assert await future is REPLY
        assert not other.done()
        assert "a" in replies
    assert len(replies) == 0


async def test_late_second_and_foreign_replies_are_dropped():
    replies = PendingReplies()
    assert not replies.resolve(REPLY)
    with replies.expect("a"):
        assert replies.resolve(REPLY)
        assert not replies.resolve(REPLY)
    assert not replies.resolve(REPLY)


async def test_a_job_is_removed_however_its_block_ends():
    replies = PendingReplies()
    with pytest.raises(RuntimeError), replies.expect("a"):
        raise RuntimeError
    with replies.expect("a") as future:
        future.cancel()
        assert not replies.resolve(REPLY)
    assert "a" not in replies


async def test_empty_waits_for_the_last_job():
    replies = PendingReplies()
    waiting = asyncio.create_task(replies.empty())
    with replies.expect("a"):
        with replies.expect("b"):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
