"""One source followed: its events, its coverage and its problems, against a real server."""

import asyncio
import wave

import numpy as np
import pytest

from common.errors import InputError, TimbreError
from service.archive.records import EventRecord, MinuteRecord, ProblemRecord
from service.client import Client
from service.monitor import follower
from service.monitor.config import SourceSettings
from service.monitor.follower import Follower, level_of
from tests.service.conftest import RATE, tone, until
from tests.service.monitor.test_coverage import total

NOW = 1_790_000_000.0


class Chunks:
    """A source of a sound, faster than real time, that may fail at its end."""

    name = "test"
    sample_rate = RATE
    channels = 1
    warnings = ()

    def __init__(self, sound, error=None):
        self._sound, self._error = sound, error

    async def chunks(self):
        for at in range(0, len(self._sound), RATE // 4):
            yield self._sound[at : at + RATE // 4], False
            await asyncio.sleep(0.01)
        if self._error:
            raise self._error


@pytest.fixture
def sources(monkeypatch):
    """Sources by turns: each attempt to open one gets the next."""
    waiting = []

    def open_next(_):
        source = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(source, Exception):
            raise source
        return source

    monkeypatch.setattr(follower, "open_input", open_next)
    monkeypatch.setattr(follower, "FIRST_WAIT_S", 0.01)
    return waiting


def settings(text="file:a.wav", **more):
    return SourceSettings(name="hall", input=text, model="toy", **more)


async def test_events_and_coverage_are_on_the_clock_of_the_wall(serve, sources):
    server = await serve()
    sources.append(Chunks(tone(4)))
    told = []
    await Follower(settings(), Client(server.url), told.append, clock=lambda: NOW).run()
    events = [record for record in told if isinstance(record, EventRecord)]
    assert [(event.label, event.state) for event in events] == [
        ("tone", "onset"),
        ("tone", "offset"),
    ]
    onset, offset = events
    assert onset.id == offset.id
    # The first chunk, of 0.25 s, was there now.
    assert onset.start_ms == NOW * 1000 - 249
    # Four windows of 2 s at a hop of 0.511 s fit into 4 s.
    assert offset.end_ms == pytest.approx(onset.start_ms + 3_532, abs=2)
    minutes = [record for record in told if isinstance(record, MinuteRecord)]
    assert [total(minute) for minute in minutes] == [60_000] * len(minutes)
    # The first chunk, faster than real, was there before it was made.
    received = sum(minute.heard_ms + sum(minute.dropped_ms.values()) for minute in minutes)
    assert received == 4_000 - 249


@pytest.mark.parametrize("keep", ["", "events"])
async def test_sound_is_kept_of_events_and_only_if_wanted(keep, serve, sources, tmp_path):
    server = await serve()
    sources.append(Chunks(np.concatenate([tone(2), np.zeros(RATE, np.float32)])))
    kept = settings(keep=keep, keep_path=str(tmp_path), keep_seconds=0.0)
    told = []
    await Follower(kept, Client(server.url), told.append, clock=lambda: NOW).run()
    files = list(tmp_path.rglob("*"))
    if keep:
        event = next(record for record in told if isinstance(record, EventRecord) and record.end_ms)
        (path,) = [path for path in files if path.is_file()]
        assert (path.parent.name, path.name) == ("hall", "20260921T141319Z-tone.wav")
        with wave.open(str(path)) as file:
            length_ms = 1000 * file.getnframes() / file.getframerate()
        assert length_ms == pytest.approx(event.end_ms - event.start_ms, abs=2)
    else:
        assert files == []


@pytest.mark.parametrize(
    ("failure", "detail"),
    [
        (InputError("the microphone gave no sound"), "the microphone gave no sound"),
        (KeyError("a driver"), "a fault: KeyError; the log has it"),
    ],
)
async def test_a_source_that_fails_again_and_again_is_told_once(
    serve, sources, capsys, failure, detail
):
    server = await serve()
    sources += [failure, Chunks(tone(2.5), failure), failure, Chunks(tone(2.5), failure), failure]
    told = []
    task = asyncio.create_task(Follower(settings("mic"), Client(server.url), told.append).run())
    await until(lambda: len([each for each in told if isinstance(each, EventRecord)]) >= 4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (problem,) = [record for record in told if isinstance(record, ProblemRecord)]
    assert (problem.problem, problem.detail) == ("not connected", detail)
    assert capsys.readouterr().err.count("source fails") == 1


async def test_a_source_that_was_away_for_days_is_followed_when_it_is_back(
    serve, sources, monkeypatch
):
    monkeypatch.setattr(follower, "LONGEST_WAIT_S", 0.0)
    server = await serve()
    sources += [*[InputError("no camera")] * 1_100, Chunks(tone(2.5))]
    told = []
    task = asyncio.create_task(Follower(settings("mic"), Client(server.url), told.append).run())
    await until(lambda: any(isinstance(each, EventRecord) for each in told))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_fault_ends_a_file_with_an_error_that_can_be_told(serve, sources):
    server = await serve()
    sources.append(Chunks(tone(1), KeyError("a driver")))
    with pytest.raises(TimbreError, match="KeyError"):
        await Follower(settings(), Client(server.url), lambda _: None).run()


@pytest.mark.parametrize("seconds", [-7, 9])
async def test_when_the_clock_is_set_a_new_stream_begins_and_no_minute_is_told_twice(
    seconds, serve, sources
):
    server = await serve()
    clock = [NOW]
    told = []

    class Setting(Chunks):
        async def chunks(self):
            async for chunk in super().chunks():
                yield chunk
            clock[0] += seconds
            yield tone(0.1), False

    sources += [Setting(tone(3)), Chunks(tone(3))]
    await Follower(settings(), Client(server.url), told.append, clock=lambda: clock[0]).run()
    events = [record for record in told if isinstance(record, EventRecord)]
    assert len({event.id for event in events}) == 2
    minutes = [record for record in told if isinstance(record, MinuteRecord)]
    assert [total(minute) for minute in minutes] == [60_000] * len(minutes)
    assert len({minute.minute_ms for minute in minutes}) == len(minutes)


async def test_zeros_are_a_dead_source(serve, sources):
    server = await serve()
    sources.append(Chunks(np.zeros(3 * RATE, np.float32)))
    told = []
    await Follower(settings(dead_after=1.0), Client(server.url), told.append).run()
    (problem,) = [record for record in told if isinstance(record, ProblemRecord)]
    assert problem.problem == "silent"
    minutes = [record for record in told if isinstance(record, MinuteRecord)]
    assert sum(minute.heard_ms + minute.clipped_ms for minute in minutes) == 0
    received = sum(minute.silent_ms + sum(minute.dropped_ms.values()) for minute in minutes)
    # All but the first chunk: faster than real, it was there before it was made.
    assert received == pytest.approx(3_000, abs=250)
    assert sum(minute.silent_ms for minute in minutes) >= 2_000


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        (np.zeros(100), "silent"),
        (np.zeros((0, 2)), "silent"),
        (np.full(100, 0.99e-4), "silent"),
        (np.full(100, 1.01e-4), "heard"),
        (np.full((100, 2), -1.0), "clipped"),
        (np.append(np.full(999, 0.5), 1.0), "heard"),
        (np.append(np.full(998, 0.5), [1.0, -1.0]), "clipped"),
    ],
)
def test_levels(samples, level):
    assert level_of(samples.astype(np.float32)) == level
