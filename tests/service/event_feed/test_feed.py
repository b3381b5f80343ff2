"""What streams publish, for those who follow: resumable, bounded, nothing lost in silence."""

import asyncio

import pytest

from common.errors import Busy, Leaving
from common.strict_json import to_json
from service import protocol
from service.event_feed import feed as module
from service.event_feed.feed import EventFeed


def event(number=1, *, source="garden", label="robin"):
    return protocol.LabelEvent(
        id=f"s-{number}",
        label=label,
        state="onset",
        start=1.0,
        end=None,
        start_sample=1_000,
        end_sample=None,
        peak=0.9,
        mean=0.8,
        source=source,
        version="1",
    )


async def waiting(follower):
    """What a follower gets until nothing waits any more."""
    follower.end()
    return [each async for each in follower]


def ids(found):
    return [each.data["id"] for each in found if each.id]


@pytest.fixture
def feed():
    return EventFeed(origin="abc")


async def test_a_follower_gets_what_is_published_from_now_on(feed):
    feed.publish(event(0), model="birds")
    with feed.follow() as follower:
        feed.publish(event(1), model="birds")
        (one,) = await waiting(follower)
    assert one.data == {"id": "s-1", "model": "birds", **vars(event(1))}
    assert one.text == f"id: {one.id}\nevent: event\ndata: {to_json(one.data)}\n\n"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({"source": "attic"}, ["s-2"]), ({"label": "owl"}, ["s-3"]), ({}, ["s-1", "s-2", "s-3"])],
)
async def test_a_follower_may_ask_for_one_source_or_label(feed, asked, expected):
    with feed.follow(**asked) as follower:
        feed.publish(event(1), model="m")
        feed.publish(event(2, source="attic"), model="m")
        feed.publish(event(3, label="owl"), model="m")
        assert ids(await waiting(follower)) == expected


async def test_a_follower_goes_on_after_the_last_event_it_has(feed):
    with feed.follow() as follower:
        for number in range(4):
            feed.publish(event(number), model="m")
        second = (await waiting(follower))[1].id
    with feed.follow(after=second) as follower:
        feed.publish(event(4), model="m")
        found = await waiting(follower)
    assert ids(found) == ["s-2", "s-3", "s-4"]
    assert all(each.id for each in found)


async def test_an_id_that_is_not_kept_is_told_with_what_came_since(feed, monkeypatch):
    feed.publish(event(1), model="m")
    with feed.follow(after="0000000000001-gone-7") as follower:
        missed, one = await waiting(follower)
    assert missed.text == 'event: missed\ndata: {"after": "0000000000001-gone-7"}\n\n'
    assert one.data["id"] == "s-1"


@pytest.mark.parametrize("beyond", [0, 1])
async def test_a_slow_follower_misses_the_oldest_and_is_told_how_many(feed, monkeypatch, beyond):
    monkeypatch.setattr(module, "WAITING", 5)
    with feed.follow() as follower:
        for number in range(5 + beyond):
            feed.publish(event(number), model="m")
        found = await waiting(follower)
    if beyond:
        assert found[0].data == {"count": 1}
    assert ids(found) == [f"s-{number + beyond}" for number in range(5)]


async def test_only_so_many_are_kept(feed, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3)
    feed = EventFeed(origin="abc")
    for number in range(5):
        feed.publish(event(number), model="m")
    with feed.follow(after="0") as follower:
        assert ids(await waiting(follower)) == ["s-2", "s-3", "s-4"]


async def test_only_so_many_follow(feed, monkeypatch):
    monkeypatch.setattr(module, "FOLLOWERS", 1)
    with feed.follow(), pytest.raises(Busy, match="1 clients follow"), feed.follow():
        pass
    with feed.follow():
        pass


async def test_the_end_of_the_server_ends_followers_behind_what_waits(feed):
    with feed.follow() as follower:
        feed.publish(event(1), model="m")
        await feed.close()
        assert ids([each async for each in follower]) == ["s-1"]
    with pytest.raises(Leaving), feed.follow():
        pass


async def test_a_follower_hears_something_while_nothing_happens(feed, monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    with feed.follow() as follower:
        assert await anext(aiter(follower)) is None


async def test_a_follower_is_woken_by_an_event(feed):
    with feed.follow() as follower:
        first = asyncio.create_task(anext(aiter(follower)))
        await asyncio.sleep(0)
        feed.publish(event(1), model="m")
        assert (await first).data["id"] == "s-1"
