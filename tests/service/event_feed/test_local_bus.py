"""Gateways of one machine have each other's events."""

import pytest

from service.event_feed.feed import EventFeed
from service.event_feed.local_bus import LocalBus
from tests.service.conftest import until
from tests.service.event_feed.test_feed import event


@pytest.fixture
async def pair(tmp_path):
    feeds = [
        EventFeed(origin=f"origin{number}", bus=LocalBus(tmp_path, number=number))
        for number in (0, 1)
    ]
    for feed in feeds:
        await feed.open()
    yield feeds
    for feed in feeds:
        await feed.close()


def kept(feed):
    return [each.data["id"] for each in feed._kept]


async def test_every_gateway_has_the_events_of_all(pair):
    first, second = pair
    first.publish(event(1), model="m")
    await until(lambda: kept(second) == ["s-1"])
    second.publish(event(2), model="m")
    await until(lambda: kept(first) == kept(second) == ["s-1", "s-2"])
    assert [each.id for each in first._kept] == [each.id for each in second._kept]


async def test_a_gateway_that_has_gone_disturbs_nobody(pair, tmp_path):
    first, second = pair
    await second.close()
    (tmp_path / "7.sock").write_bytes(b"")  # of a process that was killed
    first.publish(event(1), model="m")
    await until(lambda: kept(first) == ["s-1"])


async def test_a_stream_that_outlasts_the_grace_period_disturbs_nobody(pair):
    first, second = pair
    await first.close()
    first.publish(event(1), model="m")
    second.publish(event(2), model="m")
    await until(lambda: kept(second) == ["s-2"])


async def test_a_gateway_that_starts_again_takes_its_place(pair, tmp_path):
    first, _ = pair
    again = EventFeed(origin="again", bus=LocalBus(tmp_path, number=1))
    await again.open()
    first.publish(event(1), model="m")
    await until(lambda: kept(again) == ["s-1"])
    await again.close()


async def test_what_did_not_arrive_is_told(pair):
    first, second = pair
    with second.follow() as follower:
        first.publish(event(1), model="m")
        await until(lambda: kept(second) == ["s-1"])
        # More than the buffer of a socket holds, while the other gateway cannot read.
        for number in range(2, 5_000):
            first.publish(event(number), model="m")
        await until(lambda: kept(second)[-1:] != ["s-1"])
        first.publish(event(5_000), model="m")
        await until(lambda: kept(second)[-1] == "s-5000")
        follower.end()
        found = [each async for each in follower]
    missed = sum(each.data["count"] for each in found if not each.id)
    assert missed > 0
    assert len([each for each in found if each.id]) + missed == 5_000
