"""The limits of one key in one process: its rate, its streams, and those shared with others."""

import contextlib

import pytest

from common.errors import TooMany
from service.auth.limits import KeyLimits
from tests.service.helpers.keys import key, opened


class Stream:
    def __init__(self):
        self.closed = False

    def shut_down(self):
        self.closed = True


class Shared:
    """Counts nothing, or rejects everything."""

    def __init__(self, *, reject=False):
        self.reject = reject

    async def count_request(self, key):
        if self.reject:
            raise TooMany("shared")

    @contextlib.asynccontextmanager
    async def count_stream(self, key):
        await self.count_request(key)
        yield


def test_requests_past_the_rate_are_rejected_with_the_seconds_to_wait():
    limits = KeyLimits(key(rate=0.5))
    limits.take_token(100.0)
    with pytest.raises(TooMany, match=r"more than 0\.5 requests per second") as caught:
        limits.take_token(101.9)
    assert caught.value.retry_after == 1
    limits.take_token(102.0)


async def test_streams_past_the_limit_are_rejected_and_closed_ones_are_released():
    limits = KeyLimits(key(streams=1))
    stream = await opened(limits, Stream())
    with pytest.raises(TooMany, match=r"^1 of 1 streams are open with this key$"):
        await opened(limits, Stream())
    await stream.aclose()
    await (await opened(limits, Stream())).aclose()


async def test_a_newer_state_of_the_key_has_its_limits():
    limits = KeyLimits(key(streams=1))
    await opened(limits, Stream())
    limits.key = key(streams=2)
    await opened(limits, Stream())
    with pytest.raises(TooMany, match="2 of 2"):
        await opened(limits, Stream())


async def test_shared_limits_count_besides_and_what_they_reject_is_not_counted_here():
    limits = KeyLimits(key(rate=1.0, streams=1), Shared(reject=True))
    with pytest.raises(TooMany, match="shared"):
        await limits.count_request()
    for _ in range(2):
        with pytest.raises(TooMany, match="shared"):
            await opened(limits, Stream())
    limits = KeyLimits(key(rate=1.0, streams=1), Shared())
    await limits.count_request()
    await opened(limits, Stream())
    with pytest.raises(TooMany, match="1 of 1"):
        await opened(limits, Stream())


async def test_shutting_down_closes_the_open_streams_only():
    limits, first, second = KeyLimits(key(streams=2)), Stream(), Stream()
    stack = await opened(limits, first)
    await opened(limits, second)
    await stack.aclose()
    limits.shut_down()
    assert (first.closed, second.closed) == (False, True)
