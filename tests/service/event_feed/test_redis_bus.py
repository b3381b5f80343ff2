"""The events of all gateways through a real Redis."""

import json

import pytest

from service.event_feed import redis_bus
from service.event_feed.feed import EventFeed
from service.event_feed.redis_bus import RedisBus
from service.queue.redis_keys import EVENTS
from tests.service.conftest import until
from tests.service.event_feed.test_feed import event
from tests.service.event_feed.test_local_bus import kept
from tests.service.helpers.redis_server import start_redis


@pytest.fixture
async def gateway():
    feeds = []

    async def begin(url):
        feeds.append(EventFeed(origin=f"o{len(feeds)}", bus=RedisBus(url)))
        await feeds[-1].open()
        return feeds[-1]

    yield begin
    for feed in feeds:
        await feed.close()


async def test_every_gateway_has_the_events_of_all_under_one_id(gateway, redis_url):
    first, second = await gateway(redis_url), await gateway(redis_url)
    first.publish(event(1), model="m")
    await until(lambda: kept(first) == kept(second) == ["s-1"])
    assert first._kept[0] == second._kept[0]


async def test_a_gateway_that_starts_later_knows_what_was_before(gateway, redis_url):
    first = await gateway(redis_url)
    first.publish(event(1), model="m")
    await until(lambda: kept(first) == ["s-1"])
    second = await gateway(redis_url)
    await until(lambda: kept(second) == ["s-1"])


async def test_entries_of_others_are_passed_over(gateway, redis_server, redis_url):
    first = await gateway(redis_url)
    for fields in ({"event": "x"}, {"other": "1"}, {"event": "[]"}, {"event": '{"source":1}'}):
        redis_server.client.xadd(EVENTS, fields)
    first.publish(event(1), model="m")
    await until(lambda: kept(first) == ["s-1"])


async def test_events_wait_while_redis_is_away_and_what_is_dropped_is_told(
    gateway, tmp_path_factory, monkeypatch
):
    monkeypatch.setattr(redis_bus, "UNSENT", 3)
    redis = start_redis(tmp_path_factory)
    try:
        first = await gateway(redis.url)
        first.publish(event(0), model="m")
        await until(lambda: kept(first) == ["s-0"])
        redis.kill()
        with first.follow() as follower:
            for number in range(1, 6):
                first.publish(event(number), model="m")
            redis.start()
            await until(lambda: kept(first)[-1] == "s-5")
            follower.end()
            found = [each async for each in follower]
        counts = [each.data["count"] for each in found if not each.id]
        assert counts == [2]
        assert [each.data["id"] for each in found if each.id] == ["s-3", "s-4", "s-5"]
    finally:
        redis.end()


async def test_what_is_kept_in_redis_is_json_with_the_fields_of_the_event(
    gateway, redis_server, redis_url
):
    first = await gateway(redis_url)
    first.publish(event(1), model="m")
    await until(lambda: kept(first) == ["s-1"])
    ((_, fields),) = redis_server.client.xrange(EVENTS)
    assert json.loads(fields[b"event"]) == {"model": "m", **vars(event(1))}
