"""Events of labels are the same from a stream, a file and a client, whatever happens on the way."""

import asyncio
import io
import json

import numpy as np
import pytest

from common.errors import Unprocessable
from models.events import MAX_NOT_HEARD_S
from models.manifest import Label
from service import protocol
from service.client import Client
from service.client.events import Lost
from service.exports import MEDIA_TYPES
from service.label_events import EventReporter
from service.protocol import LabelEvent, Window
from tests.service.client.test_stream import of, run
from tests.service.conftest import RATE, begin, noise, pcm, rest_of, tone, wav
from tests.service.helpers.proxy import proxied
from tests.service.streaming.test_handler import slow_model

SETTINGS = {"*": {"gap": 0.0}, "noise": {"threshold": 0.4, "min_length": 0.6}}


def ended(events):
    return [event for event in events if event["state"] == "offset"]


def places(events):
    return sorted((event["label"], event["start"], event["end"]) for event in events)


def levels(events):
    ordered = sorted(events, key=lambda event: (event["label"], event["start"]))
    return [event[key] for event in ordered for key in ("peak", "mean")]


def turns(seconds, *, rate=RATE):
    """Tones and noise by turns of three seconds and less, and silence."""
    parts = []
    for index in range(10):
        length = 3 - 0.17 * index
        parts += [tone(length, 300 + 70 * index, rate=rate), noise(length, rate=rate, seed=index)]
    return np.concatenate(parts)[: round(seconds * rate)]


async def streamed(server, sound, *, rate, seed=0, **fields):
    """The messages of a raw stream, sent in pieces of any length."""
    audio, at = pcm(sound), 0
    rng = np.random.default_rng(seed)
    async with server.stream() as socket:
        await begin(socket, rate, **fields)
        while at < len(audio):
            step = 2 * int(rng.integers(1, rate))
            await socket.send_bytes(audio[at : at + step])
            at += step
        await socket.send_json({"type": "end"})
        return await rest_of(socket)


def of_type(messages, kind):
    return [each for each in messages if isinstance(each, dict) and each["type"] == kind]


@pytest.mark.parametrize(
    ("rate", "hop"), [(RATE, 0.5), (48_000, 0.5), (16_000, 0.3), (44_099, 1.0), (RATE, 2.0)]
)
async def test_stream_file_and_client_have_the_same_events(serve, rate, hop):
    server = await serve()
    sound = turns(14, rate=rate)
    options = {"hop": hop, "on_overload": "complete", "event_settings": SETTINGS}
    messages = [
        of_type(await streamed(server, sound, rate=rate, seed=seed, events=True, **options), kind)
        for seed, kind in [(0, "event"), (1, "event")]
    ]
    query = {"events": "true", "hop": str(hop), "event_settings": json.dumps(SETTINGS)}
    status, answer, _ = await server.post(
        "/v1/models/toy/classify", data=io.BytesIO(wav(sound, rate=rate)), params=query
    )
    assert status == 200
    client = of(LabelEvent, await run(server.url, sound, rate=rate, events=True, **options))
    expected = answer["events"]
    assert {event["label"] for event in expected} == {"tone", "noise"}
    for found in (*messages, [vars(event) for event in client]):
        assert places(ended(found)) == places(expected)
        assert levels(ended(found)) == pytest.approx(levels(expected), abs=1e-5)
        onsets = [event["id"] for event in found if event["state"] == "onset"]
        assert len(set(onsets)) == len(onsets)
        assert set(onsets) == {event["id"] for event in ended(found)}


def rebuilt(messages, *, labels, start):
    """The events that follow from the windows and the drops of a stream."""
    (ready,) = of_type(messages, "ready")
    fields = {key: value for key, value in ready.items() if key != "type"}
    found = EventReporter(labels, protocol.Start(**start), protocol.Ready(**fields))
    told = []
    for each in messages:
        if isinstance(each, dict) and each["type"] == "window":
            age = protocol.Age(**each["age_ms"])
            known = {key: value for key, value in each.items() if key not in ("type", "age_ms")}
            told += found.answered(Window(**known, age_ms=age))
        elif isinstance(each, dict) and each["type"] == "dropped":
            told += found.missed(each["to_sample"])
    return [vars(each) for each in (*told, *found.finish())]


async def with_gaps(server, sound, gaps, *, seed, **fields):
    """The messages of a numbered stream in pieces of any length that lacks some of the samples."""
    rng, at = np.random.default_rng(seed), 0
    async with server.stream() as socket:
        ready = await begin(socket, numbered=True, **fields)
        while at < len(sound):
            skip = next((to for begins, to in gaps if begins <= at < to), None)
            if skip is not None:
                at = skip
                continue
            stop = min([begins for begins, _ in gaps if begins > at], default=len(sound))
            stop = min(stop, at + int(rng.integers(1, fields["sample_rate"])))
            await socket.send_bytes(protocol.number(at, pcm(sound[at:stop])))
            at = stop
        await socket.send_json({"type": "end"})
        return [ready, *await rest_of(socket)]


@pytest.mark.parametrize(
    ("rate", "hop", "gaps"),
    [
        (RATE, 0.5, [(5.0, 6.0)]),
        (RATE, 0.25, [(2.2, 4.9), (5.0, 5.1), (9.7, 13.0)]),
        (48_000, 0.5, [(4.0, 8.5)]),
        (16_000, 1.0, [(0.5, 3.0), (11.0, 12.0)]),
        (RATE, 0.5, [(5.0, 21.0)]),
    ],
)
async def test_events_across_lost_sound_follow_from_what_was_heard(serve, rate, hop, gaps):
    server = await serve()
    sound = turns(24, rate=rate)
    samples = [tuple(round(second * rate) for second in gap) for gap in gaps]
    start = {"sample_rate": rate, "hop": hop, "on_overload": "complete", "numbered": True}
    start |= {"events": True, "event_settings": {"*": {"gap": 0.5}}}
    options = {key: value for key, value in start.items() if key != "numbered"}
    first, second = [
        await with_gaps(server, sound, samples, seed=seed, **options) for seed in (0, 1)
    ]
    lost = [(drop["from_sample"], drop["to_sample"]) for drop in of_type(first, "dropped")]
    assert lost == samples
    events = of_type(first, "event")
    assert places(ended(events)) == places(ended(of_type(second, "event")))
    expected = rebuilt(first, labels=server.gateway.models[0].manifest.labels, start=start)
    assert [(e["id"], e["state"], e["start"], e["end"]) for e in events] == [
        (e["id"], e["state"], e["start"], e["end"]) for e in expected
    ]
    assert [e["not_heard"] for e in events] == [e["not_heard"] for e in expected]
    # No event is longer without an answer than it may be, and one that is says so.
    for event in ended(events):
        inside = [
            to - begins for begins, to in gaps if event["start"] <= begins and to <= event["end"]
        ]
        assert all(length <= MAX_NOT_HEARD_S for length in inside)
        if max(inside, default=0) > hop:
            assert event["not_heard"] > 0


async def test_before_and_after_lost_sound_events_are_those_of_the_file(serve):
    server = await serve()
    sound = turns(24)
    gap = (8.0, 14.0)
    options = {"sample_rate": RATE, "events": True, "event_settings": {"*": {"gap": 0.0}}}
    samples = [tuple(round(second * RATE) for second in gap)]
    messages = await with_gaps(server, sound, samples, seed=3, **options)
    query = {"events": "true", "hop": "0.5", "event_settings": '{"*": {"gap": 0.0}}'}
    _, answer, _ = await server.post(
        "/v1/models/toy/classify", data=io.BytesIO(wav(sound)), params=query
    )
    found = places(ended(of_type(messages, "event")))
    for first, last in ((0.0, gap[0] - 2.5), (gap[1] + 2.5, 24.0)):
        inside = [each for each in places(answer["events"]) if first <= each[1] and each[2] < last]
        assert inside
        assert set(inside) <= set(found)


async def test_events_of_an_overloaded_stream_follow_from_the_windows_it_answers(serve):
    server = await serve(max_waiting=2)
    await slow_model(server, 0.05)
    start = {"sample_rate": RATE, "hop": 0.1, "events": True, "event_settings": SETTINGS}
    async with server.stream() as socket:
        ready = await begin(socket, **start)
        audio = pcm(turns(12))
        for at in range(0, len(audio), 2 * RATE):
            await socket.send_bytes(audio[at : at + 2 * RATE])
        await socket.send_json({"type": "end"})
        messages = [ready, *await rest_of(socket)]
    assert {drop["reason"] for drop in of_type(messages, "dropped")} == {"overload"}
    expected = rebuilt(messages, labels=server.gateway.models[0].manifest.labels, start=start)
    assert expected
    keys = ("id", "state", "start", "end", "peak", "not_heard")
    assert [[e[key] for key in keys] for e in of_type(messages, "event")] == [
        [e[key] for key in keys] for e in expected
    ]


async def test_an_event_is_sent_behind_the_window_that_it_follows_from(serve):
    server = await serve()
    sound = np.concatenate((tone(4), noise(4)))
    messages = await streamed(server, sound, rate=RATE, events=True, event_settings=SETTINGS)
    kinds = [each["type"] for each in messages if isinstance(each, dict)]
    assert kinds[:2] == ["window", "event"]
    first, last = of_type(messages, "event")[0], of_type(messages, "event")[-1]
    assert first["label"] == "tone"
    assert (first["state"], first["start"], first["end"]) == ("onset", 0.0, None)
    assert (first["start_sample"], first["end_sample"]) == (0, None)
    assert first["source"] == first["id"].rpartition("-")[0]
    assert (last["state"], last["end_sample"]) == (
        "offset",
        of_type(messages, "window")[-1]["end_sample"],
    )
    assert kinds.index("end") == len(kinds) - 1


async def test_without_being_asked_for_there_are_no_events(serve):
    server = await serve()
    assert of_type(await streamed(server, tone(4), rate=RATE), "event") == []
    _, answer, _ = await server.post("/v1/models/toy/classify", data=wav(tone(4)))
    assert "events" not in answer


async def test_a_source_is_named_in_its_events(serve):
    server = await serve()
    options = {"events": True, "source": "garden.mic-2"}
    events = of_type(await streamed(server, tone(4), rate=RATE, **options), "event")
    assert {each["source"] for each in events} == {"garden.mic-2"}


async def test_a_client_tells_the_events_of_an_unbroken_stream_when_it_is_cut(serve):
    server = await serve()
    sound = turns(14)
    options = {"events": True, "event_settings": {"*": {"gap": 0.0}}}
    whole = await run(server.url, sound, **options)
    async with proxied(server.url) as (proxy, url):
        broken = await run(
            url,
            sound,
            disturb=lambda second: proxy.cut() if second in (3, 6, 10) else None,
            **options,
        )
    assert broken[-1].reconnects == 3
    expected = [(each.label, each.state, each.start, each.end) for each in of(LabelEvent, whole)]
    got = [(each.label, each.state, each.start, each.end) for each in of(LabelEvent, broken)]
    assert got == expected


async def test_sound_that_a_client_has_lost_is_told_in_the_event(serve, monkeypatch):
    from service.client import stream as live

    monkeypatch.setattr(live, "REPLAY_BUFFER_S", 4)
    server = await serve()
    async with (
        proxied(server.url) as (proxy, url),
        Client(url).stream("toy", sample_rate=RATE, events=True) as stream,
    ):
        await stream.send(tone(3))
        events = []
        async for event in stream:
            events.append(event)
            if isinstance(event, Window) and len(of(Window, events)) == 1:
                # All but the last seconds of what follows is lost before the next connection.
                proxy.refusing = True
                proxy.cut()
                await stream.send(tone(9))
                proxy.refusing = False
                finishing = asyncio.create_task(stream.finish())
        await finishing
    assert of(Lost, events)
    (offset,) = [each for each in of(LabelEvent, events) if each.state == "offset"]
    assert offset.not_heard > 0
    assert (offset.start, offset.end) == (0.0, of(Window, events)[-1].end)


@pytest.mark.parametrize("form", MEDIA_TYPES)
async def test_a_file_is_answered_in_every_format(serve, form):
    server = await serve()
    url = f"{server.url}/v1/models/toy/classify"
    sound, query = wav(np.concatenate((tone(4), noise(4)))), {"event_settings": '{"*":{"gap":0}}'}
    async with server.http.post(url, data=sound, params=query | {"events": "true"}) as response:
        events = (await response.json())["events"]
    asked = query | {"format": form, "events": "true"}
    async with server.http.post(url, data=sound, params=asked) as response:
        assert (response.status, response.content_type) == (200, MEDIA_TYPES[form])
        text = await response.text()
    assert all(event["label"] in text for event in events)
    if form != "json":
        assert text.count("\n") == len(events) + (form in ("csv", "raven"))


async def test_a_csv_without_events_is_of_windows(serve):
    server = await serve()
    url = f"{server.url}/v1/models/toy/classify?format=csv&top_k=1"
    async with server.http.post(url, data=wav(tone(4))) as response:
        lines = (await response.text()).splitlines()
    assert lines[0] == "path,start,end,rank,label,score,error,warnings"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"events": "yes"}, "events='yes' must be true or false"),
        ({"format": "xml"}, "format='xml' must be one of json, jsonl, csv, audacity, raven"),
        ({"format": "raven", "events": "false"}, "format=raven has nothing but events"),
        ({"event_settings": "{}"}, "event_settings without events=true"),
        ({"events": "true", "event_settings": "{"}, "event_settings is not JSON"),
        ({"events": "true", "event_settings": '{"tuba":{}}'}, "unknown label 'tuba'"),
        ({"events": "true", "hop": "0.05"}, "hop=0.05 must be between"),
    ],
)
async def test_what_cannot_be_asked_of_a_file_is_named(serve, query, detail):
    server = await serve()
    status, answer, _ = await server.post(
        "/v1/models/toy/classify", data=wav(tone(2)), params=query
    )
    assert (status, detail in answer["detail"]) == (422, True), answer


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"events": 1}, "start.events=1 must be of type bool"),
        ({"event_settings": {"tone": {"gap": -1}}}, "event_settings.tone.gap=-1"),
        ({"event_settings": {"tuba": {}}}, "unknown label 'tuba'"),
        ({"event_settings": {"tone": 1}}, "start.event_settings.tone=1 must be an object"),
        ({"source": "a b"}, "source='a b' must be 1 to 64"),
        ({"source": "x" * 65}, "must be 1 to 64"),
        ({"source": "mic\n"}, "must be 1 to 64"),
    ],
)
async def test_what_cannot_be_asked_of_a_stream_is_named(serve, fields, detail):
    server = await serve()
    async with server.stream() as socket:
        error = await begin(socket, **{"events": True, **fields})
    assert error["type"] == "error"
    assert detail in error["detail"]


async def test_a_model_describes_the_settings_of_its_events(serve):
    server = await serve()
    _, described, _ = await server.get("/v1/models/toy")
    settings = {"off": 0.4, "gap": 1.0, "min_length": 0.0, "rise": 0.0}
    assert described["events"] == {"tone": settings, "noise": settings}


def reporter(**fields):
    ready = protocol.Ready(
        stream="s", model="m", version="1", labels=("tone",), window=2.0, hop=0.5, sample_rate=1_000
    )
    start = protocol.Start(sample_rate=8_000, events=True, **fields)
    told = []
    labels = [Label(name="tone", threshold=0.5)]
    return EventReporter(labels, start, ready, publish=told.append), told


def window(start, score, *, version="1"):
    age = protocol.Age(total=0, features=0, queue=0, model=0)
    return Window(
        start=start,
        end=start + 2,
        start_sample=round(8_000 * start),
        end_sample=round(8_000 * (start + 2)),
        scores={"tone": score},
        labels=(),
        version=version,
        age_ms=age,
    )


def test_samples_are_those_of_the_client():
    found, told = reporter(source="mic")
    messages = [*found.answered(window(0.5, 0.9)), *found.finish()]
    assert [each.start_sample for each in messages] == [4_000, 4_000]
    assert (messages[1].end_sample, messages[1].end, messages[1].source) == (20_000, 2.5, "mic")
    assert told == messages


def test_another_version_has_its_own_thresholds():
    found, _ = reporter()
    assert found.answered(window(0.0, 0.4)) == []
    found.use("2", [Label(name="tone", threshold=0.3)])
    (onset,) = found.answered(window(0.5, 0.4, version="2"))
    assert onset.version == "2"


def test_what_is_missed_for_long_ends_an_event():
    found, _ = reporter()
    found.answered(window(0.0, 0.9))
    assert found.missed(8_000 * 12) == []
    (offset,) = found.missed(8_000 * 12 + 8)
    assert offset.end == 2.0


def test_settings_of_unknown_labels_are_rejected():
    with pytest.raises(Unprocessable, match="unknown label 'oboe'"):
        reporter(event_settings={"oboe": {}})
