"""A live stream through real sockets that are cut, rejected and slowed down."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from common.errors import InputError, NotFound, Unprocessable
from service.client import Client
from service.client import stream as live
from service.client.events import End, Lost, Reconnect
from service.client.transport import Unreachable
from service.protocol import Ready, Window
from tests.service.conftest import RATE, noise, tone
from tests.service.helpers.proxy import proxied


def music(seconds, *, rate=RATE):
    """Tones and noise by turns, so that windows differ."""
    parts = [
        tone(0.7, 200 + 90 * index, rate=rate) if index % 3 else noise(0.6, rate=rate, seed=index)
        for index in range(40)
    ]
    return np.concatenate(parts)[: round(seconds * rate)]


async def run(url, sound, *, model="toy", rate=RATE, disturb=None, speed=20, **options):
    """Stream at `speed` times real time; return the events. disturb(second) runs each second."""
    async with Client(url).stream(model, sample_rate=rate, **options) as stream:

        async def feed():
            step = rate // 4
            for index, at in enumerate(range(0, len(sound), step)):
                await stream.send(sound[at : at + step])
                if disturb and index % 4 == 0:
                    disturb(index // 4)
                await asyncio.sleep(0.25 / speed)
            await stream.finish()

        feeding = asyncio.create_task(feed())
        events = [event async for event in stream]
        await feeding
    return events


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def comparable(windows):
    """What must be equal for every network behaviour."""
    return [(each.start_sample, each.end_sample, each.labels) for each in windows]


@pytest.mark.parametrize(
    ("rate", "hop"), [(RATE, 0.5), (48_000, 0.5), (11_025, 0.5), (8_000, 0.5), (44_099, 0.1)]
)
async def test_a_stream_cut_three_times_gives_the_windows_of_an_unbroken_one(serve, rate, hop):
    server = await serve()
    sound = music(14, rate=rate)
    # Its scores tell a window from one that begins a sample later; those of a forest would not.
    options = {"model": "toy-net", "rate": rate, "encoding": "pcm_f32le", "hop": hop}
    whole = await run(server.url, sound, **options)
    async with proxied(server.url) as (proxy, url):
        broken = await run(
            url,
            sound,
            disturb=lambda second: proxy.cut() if second in (3, 6, 10) else None,
            **options,
        )
    expected, got = of(Window, whole), of(Window, broken)
    assert comparable(got) == comparable(expected)
    assert len(got) == 1 + (14 * 22_050 - 44_100) // (round(hop * 22_050 / 512) * 512)
    for one, other in zip(got, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=2e-6)
    assert proxy.connections == 4
    end = broken[-1]
    assert end == End(
        reason="client ended", samples=len(sound), windows=len(got), dropped=0, reconnects=3
    )
    attempts = [event.attempt for event in of(Reconnect, broken)]
    # It counts from 1 anew once a window was answered, which a busy machine may not do in time.
    assert len(attempts) == 3
    assert all(two in {1, one + 1} for one, two in pairwise([0, *attempts]))


async def test_sound_captured_while_the_server_is_down_is_answered_after_the_reconnect(serve):
    server = await serve()
    sound = music(12)
    async with proxied(server.url) as (proxy, url):

        def away(second):
            proxy.refusing = 3 <= second < 8
            if second == 3:
                proxy.cut()

        events = await run(url, sound, disturb=away, speed=8)
    assert comparable(of(Window, events)) == comparable(of(Window, await run(server.url, sound)))
    assert of(Reconnect, events)[-1].attempt > 1


async def test_catching_up_is_no_faster_than_a_slow_server_answers(serve, monkeypatch):
    server = await serve(max_waiting=8)
    submit = server.gateway.queue.submit

    async def slowly(job):
        await asyncio.sleep(0.02)
        return await submit(job)

    monkeypatch.setattr(server.gateway.queue, "submit", slowly)
    async with proxied(server.url) as (proxy, url):

        def away(second):
            proxy.refusing = 3 <= second < 8
            if second == 3:
                proxy.cut()

        events = await run(url, music(12), disturb=away, hop=0.1, speed=3)
    assert (events[-1].dropped, events[-1].reconnects) == (0, 1)
    assert events[-1].windows == 1 + (12 * RATE - 44_100) // 2_048


async def test_a_cut_between_the_clients_end_and_the_servers_loses_nothing(serve):
    server = await serve()
    async with (
        proxied(server.url) as (proxy, url),
        Client(url).stream("toy", sample_rate=RATE) as stream,
    ):
        await stream.send(music(6))
        while not stream.windows:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
        finishing = asyncio.create_task(stream.finish())
        await asyncio.sleep(0)
        proxy.cut()
        events = [event async for event in stream]
        await finishing
    assert len(of(Window, events)) == 1 + (6 * RATE - 44_100) // 11_264
    assert isinstance(events[-1], End)


async def test_sound_past_the_bound_is_dropped_and_reported(serve, monkeypatch):
    monkeypatch.setattr(live, "REPLAY_BUFFER_S", 5)
    server = await serve()
    sound = music(20)
    async with proxied(server.url) as (proxy, url):

        def away(second):
            proxy.refusing = 3 <= second < 16
            if second == 3:
                proxy.cut()

        events = await run(url, sound, disturb=away, speed=10)
    windows, lost = of(Window, events), of(Lost, events)
    assert lost
    assert events[-1].dropped > 0
    assert len(windows) + events[-1].dropped == 1 + (20 * RATE - 44_100) // 11_264
    whole = {each.start_sample: each for each in of(Window, await run(server.url, sound))}
    assert comparable(windows) == comparable([whole[each.start_sample] for each in windows])
    for start in whole.keys() - {each.start_sample for each in windows}:
        assert any(gap.from_sample <= start < gap.to_sample for gap in lost)


async def test_complete_streams_of_more_than_the_bound_wait_for_room(serve, monkeypatch):
    monkeypatch.setattr(live, "REPLAY_BUFFER_S", 5)
    server = await serve()
    async with Client(server.url).stream("toy", sample_rate=RATE, on_overload="complete") as stream:
        await stream.send(music(20))
        await stream.finish()
        events = [event async for event in stream]
    assert events[-1].windows == 1 + (20 * RATE - 44_100) // 11_264
    assert events[-1].dropped == 0


async def test_a_server_that_stays_unreachable_ends_the_stream_after_the_retry_limit(serve):
    server = await serve()
    async with proxied(server.url) as (proxy, url):

        def away(second):
            if second == 1:
                proxy.refusing = True
                proxy.cut()

        with pytest.raises(Unreachable):
            await run(url, music(4), disturb=away, patience_s=0.5)


async def test_the_client_reconnects_after_a_shutdown_of_the_server(serve):
    server, other = await serve(), await serve()
    async with proxied(server.url) as (proxy, url):

        def move(second):
            if second == 4:
                proxy.port = int(other.url.rsplit(":", 1)[1])
                asyncio.get_running_loop().create_task(server.gateway.shut_down())

        events = await run(url, music(10), disturb=move, speed=5)
    assert comparable(of(Window, events)) == comparable(of(Window, await run(other.url, music(10))))
    assert len(of(Ready, events)) == 2


@pytest.mark.parametrize(
    ("options", "error", "detail"),
    [
        ({"model": "tuba"}, NotFound, "toy"),
        ({"sample_rate": 4_000}, Unprocessable, "8000"),
        ({"hop": 30.0}, Unprocessable, "hop=30"),
    ],
)
async def test_a_rejection_is_raised_at_once_with_its_reason(serve, options, error, detail):
    server = await serve()
    options = {"model": "toy", "sample_rate": RATE, **options}
    with pytest.raises(error, match=detail):
        async with Client(server.url).stream(**options):
            pass


async def test_a_stream_rejected_midway_raises_for_reader_and_sender(serve):
    server = await serve()
    async with Client(server.url).stream("toy", sample_rate=RATE, encoding="pcm_f32le") as stream:
        await stream.send(np.full(1000, np.nan, np.float32))
        with pytest.raises(InputError):
            [event async for event in stream]
        with pytest.raises(InputError):
            await stream.send(tone(0.1))


async def test_leaving_the_block_without_finishing_closes_the_connection(serve):
    server = await serve()
    async with Client(server.url).stream("toy", sample_rate=RATE) as stream:
        await stream.send(tone(1))
    async with asyncio.timeout(60):
        while server.gateway.streams:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def test_a_stream_closed_at_once_leaks_no_socket(serve):
    server = await serve()
    async with Client(server.url).stream("toy", sample_rate=22_050) as stream:
        pass
    assert stream._socket.closed
