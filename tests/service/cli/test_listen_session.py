"""Listening to valid sources and to sources that fail."""

import asyncio

import pytest

from common.errors import Busy, InputError
from features.containers.notes import Doubt
from service.cli.listen_session import ListenOptions, _described, listen
from tests.service.conftest import RATE, noise, tone
from tests.service.helpers.proxy import proxied


class Chunks:
    """A source of given chunks, faster than real time, that may fail at its end."""

    name = "test"
    sample_rate = RATE
    channels = 1

    def __init__(self, sound, *, lost=(), error=None, warnings=()):
        self.sound, self.lost, self.error, self.warnings = sound, lost, error, warnings

    async def chunks(self):
        for index, at in enumerate(range(0, len(self.sound), RATE // 4)):
            yield self.sound[at : at + RATE // 4], index in self.lost
            await asyncio.sleep(0.01)
        if self.error:
            raise self.error


def wish(url):
    return ListenOptions(url=url, token=None, model="toy", hop=0.5)


async def test_results_are_in_the_stream_state(serve):
    server = await serve()
    events = []
    board = await listen(Chunks(tone(6)), wish(server.url), report=events.append)
    assert board.windows == board.label_windows["tone"] == 8
    assert board.thresholds == {"tone": 0.5, "noise": 0.5}
    assert (board.state, board.captured_s, board.dropped) == ("ended", 6.0, 0)
    assert [event.type for event in events] == ["ready", *["window"] * 8, "end"]


async def test_sound_lost_in_the_device_is_reported_where_it_was_lost(serve):
    server = await serve()
    events = []
    await listen(Chunks(noise(3), lost={4}), wish(server.url), report=events.append)
    [lost] = [event for event in events if event.type == "dropped"]
    assert (lost.reason, lost.from_sample) == ("device", 4 * (RATE // 4))


async def test_doubts_about_the_source_are_told_once_behind_the_beginning(serve):
    server = await serve()
    events = []
    source = Chunks(tone(3), warnings=[Doubt("truncated", "half of it")])
    board = await listen(source, wish(server.url), report=events.append)
    assert [event.type for event in events[:3]] == ["ready", "warning", "window"]
    assert (events[1].kind, events[1].detail) == ("truncated", "half of it")
    assert sum(event.type == "warning" for event in events) == 1
    assert board.summary().endswith("; warnings: truncated")


async def test_a_source_that_breaks_has_its_windows_answered_and_then_its_error_raised(serve):
    server = await serve()
    events = []
    with pytest.raises(InputError, match="cable"):
        await listen(
            Chunks(tone(4), error=InputError("cable")), wish(server.url), report=events.append
        )
    assert events[-1].type == "end"
    assert events[-1].windows == 4


async def test_a_lost_connection_is_in_the_stream_state(serve):
    server = await serve()
    async with proxied(server.url) as (proxy, url):

        def tell(event):
            if event.type == "window" and event.start_sample == 11_264:
                proxy.cut()

        board = await listen(Chunks(tone(6)), wish(url), report=tell)
    assert (board.windows, board.reconnects) == (8, 1)


class Loading:
    """A client of a server that is loading for some requests."""

    def __init__(self, busy):
        self.busy, self.asked = busy, 0

    async def describe(self, model):
        self.asked += 1
        if self.asked <= self.busy:
            error = Busy("the models are still being loaded")
            error.retry_after = 0
            raise error
        return {"name": model}


async def test_a_server_that_is_still_loading_is_waited_for_as_long_as_patience_lasts():
    client = Loading(busy=3)
    assert await _described(client, "toy", patience_s=60) == {"name": "toy"}
    assert client.asked == 4
    with pytest.raises(Busy, match="being loaded"):
        await _described(Loading(busy=3), "toy", patience_s=0)
