"""Cutting clips, and what counts for the clip as a whole."""

import asyncio
import io
import threading
import time
from types import SimpleNamespace

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from service.inference import clips
from service.inference.clips import (
    SMALL_BYTES,
    SMALL_WINDOWS,
    ClipQuery,
    clip_labels,
    is_small,
    window_spans,
)
from service.inference.gateway import Prediction
from service.queue import local
from tests.service.conftest import RATE, noise, tone, until, wav
from tests.service.helpers.valve import Valve

WINDOW = 2 * RATE
PATH = "/v1/models/toy/classify"


@given(length=st.integers(1, 2_000), window=st.integers(1, 300), data=st.data())
def test_every_sample_of_a_clip_is_in_a_window(length, window, data):
    hop = data.draw(st.integers(1, window))
    spans = window_spans(length, window=window, hop=hop)
    assert set().union(*(range(start, end) for start, end in spans)) == set(range(length))
    assert [start for start, _ in spans] == [n * hop for n in range(len(spans))]
    assert all(end - start == window for start, end in spans[:-1])


@pytest.mark.parametrize(
    ("length", "spans"),
    [
        (10, [(0, 10)]),
        (11, [(0, 10), (5, 11)]),
        (15, [(0, 10), (5, 15)]),
        (3, [(0, 3)]),
        (20, [(0, 10), (5, 15), (10, 20)]),
    ],
)
def test_the_last_window_is_padded_only_when_samples_are_left(length, spans):
    assert window_spans(length, window=10, hop=5) == spans


def prediction(**scores):
    return Prediction(
        scores, tuple(name for name, score in scores.items() if score >= 0.5), 0.0, 0.0, "1"
    )


def test_the_labels_of_a_clip_are_those_of_its_windows_highest_mean_first():
    predictions = [
        prediction(horn=0.6, flute=0.1, oboe=0.1),
        prediction(flute=0.9, oboe=0.65, horn=0.2),
    ]
    assert clip_labels([(0, 10), (10, 20)], predictions, window=10) == ["flute", "horn", "oboe"]


def test_one_loud_mistake_does_not_come_before_what_plays_all_the_time():
    predictions = [prediction(horn=0.7, piano=0.0)] * 4 + [prediction(horn=0.4, piano=0.95)]
    assert clip_labels([(at, at + 10) for at in range(0, 50, 10)], predictions, window=10) == [
        "horn",
        "piano",
    ]


def test_a_last_window_that_is_mostly_padding_does_not_count():
    predictions = [prediction(horn=0.6), prediction(flute=0.9)]
    assert clip_labels([(0, 10), (10, 14)], predictions, window=10) == ["horn"]
    assert clip_labels([(0, 10), (10, 15)], predictions, window=10) == ["flute", "horn"]


def test_a_short_clip_has_the_labels_of_its_only_window():
    assert clip_labels([(0, 1)], [prediction(horn=0.6)], window=10) == ["horn"]


def query(server, *, hop=WINDOW):
    return ClipQuery(model=server.gateway.models[0], hop=hop, top_k=None)


@pytest.mark.parametrize("hop", [WINDOW, WINDOW // 4])
async def test_a_plain_file_is_small_up_to_two_windows(serve, hop):
    found = query(await serve(), hop=hop)
    most = noise(WINDOW / RATE + (SMALL_WINDOWS - 1) * hop / RATE)
    assert len(window_spans(len(most), window=WINDOW, hop=hop)) == SMALL_WINDOWS
    assert is_small(wav(most), found)
    assert not is_small(wav(noise((len(most) + 1) / RATE)), found)


async def test_a_plain_file_is_small_up_to_so_many_bytes(serve):
    found, rate = query(await serve()), 192_000
    data = wav(noise((SMALL_BYTES - 44) / 2 / rate, rate=rate), rate=rate)
    assert len(data) == SMALL_BYTES
    assert is_small(data, found)
    longer = wav(noise((SMALL_BYTES - 42) / 2 / rate, rate=rate), rate=rate)
    assert not is_small(longer, found)


async def test_a_file_of_few_bytes_and_many_windows_is_not_small(serve):
    found = query(await serve())
    assert not is_small(wav(noise(5, rate=8_000), rate=8_000), found)
    assert is_small(wav(noise(4, rate=8_000), rate=8_000), found)


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
async def test_a_file_that_is_not_plain_is_not_small(serve, kind):
    file = io.BytesIO()
    soundfile.write(file, tone(0.5), RATE, format=kind)
    assert not is_small(file.getvalue(), query(await serve()))
    assert not is_small(b"RIFF", query(await serve()))
    assert not is_small(b"", query(await serve()))


@pytest.mark.parametrize("rest", [b"LIST\0\0\0\0" * 10_000, wav(tone(0.1)), b"??"])
async def test_a_file_with_more_behind_its_sound_is_not_small(serve, rest):
    found = query(await serve())
    assert is_small(wav(tone(1)), found)
    assert not is_small(wav(tone(1)) + rest, found)


@pytest.mark.parametrize(("seconds", "on_the_loop"), [(2, True), (4, True), (4.1, False)])
async def test_small_files_are_decoded_on_the_event_loop_and_others_in_a_thread(
    serve, monkeypatch, seconds, on_the_loop
):
    threads, decode_clip = [], clips.decode_clip

    def decode(*arguments):
        threads.append(threading.get_ident())
        return decode_clip(*arguments)

    monkeypatch.setattr(clips, "decode_clip", decode)
    server = await serve()
    assert (await server.post(PATH, data=wav(tone(seconds))))[0] == 200
    assert (threads == [threading.get_ident()]) is on_the_loop


@pytest.mark.parametrize("seconds", [0.3, 2, 3.7])
async def test_both_ways_give_the_same_response(serve, monkeypatch, seconds):
    server, data = await serve(), wav(noise(seconds))
    status, small, _ = await server.post(PATH, data=data)
    monkeypatch.setattr(clips, "SMALL_BYTES", 0)
    assert status == 200
    _, large, _ = await server.post(PATH, data=data)
    assert small.pop("timing_ms").keys() == large.pop("timing_ms").keys()
    assert small == large


@pytest.mark.parametrize("data", [wav(tone(2))[:-1], wav(tone(0)), b"RIFF" + bytes(100)])
async def test_a_small_file_that_is_damaged_is_rejected(serve, data):
    server = await serve()
    status, problem, _ = await server.post(PATH, data=data)
    assert status in {400, 415, 422}
    assert problem["status"] == status
    assert (await server.post(PATH, data=wav(tone(2))))[0] == 200


@pytest.mark.parametrize(("age_s", "accepted"), [(14, True), (16, False)])
@pytest.mark.parametrize("small", [True, False])
async def test_a_clip_that_would_wait_past_its_deadline_is_rejected_before_it_is_decoded(
    serve, monkeypatch, age_s, accepted, small
):
    server, data = await serve(max_batch=1, clip_deadline=60), wav(tone(2))
    if not small:
        monkeypatch.setattr(clips, "SMALL_BYTES", 0)
    valve, decoded, decode_clip = Valve(server), [], clips.decode_clip

    def decode(*arguments):
        decoded.append(1)
        return decode_clip(*arguments)

    monkeypatch.setattr(clips, "decode_clip", decode)
    clock = SimpleNamespace(monotonic=time.monotonic)
    monkeypatch.setattr(local, "time", clock)
    waiting = [asyncio.create_task(server.post(PATH, data=data)) for _ in range(2)]
    # One runs and one waits, whichever was submitted first.
    await until(lambda: valve.begun.is_set() and server.gateway.queue.depth == 1)
    # The second clip has waited for a quarter of the deadline, but for a second.
    clock.monotonic = lambda: time.monotonic() + age_s
    third = asyncio.create_task(server.post(PATH, data=data))
    await until(lambda: third.done() or len(decoded) == 3)
    assert len(decoded) == (3 if accepted else 2)
    clock.monotonic = time.monotonic
    valve.let(10)
    status, body, headers = await third
    assert [status, "Retry-After" in headers] == ([200, False] if accepted else [503, True])
    assert accepted or ("overloaded" in body["detail"] and 1 <= int(headers["Retry-After"]) <= 9)
    assert [(await each)[0] for each in waiting] == [200, 200]


async def test_doubts_about_a_sound_come_with_its_response(serve):
    server = await serve()
    _, body, _ = await server.post(PATH, data=wav(tone(2)))
    assert "warnings" not in body
    _, body, _ = await server.post(PATH, data=wav(0 * tone(2)))
    assert [each["kind"] for each in body["warnings"]] == ["silence"]
    assert all(each.keys() == {"kind", "detail"} for each in body["warnings"])


async def test_a_file_with_missing_sound_is_read_as_far_as_it_goes_if_that_is_asked_for(serve):
    server = await serve()
    cut = wav(tone(4))[: -2 * RATE]
    for query in ("", "?partial=false"):
        status, problem, _ = await server.post(PATH + query, data=cut)
        assert (status, "truncated" in problem["detail"]) == (400, True)
    status, body, _ = await server.post(PATH + "?partial=true", data=cut)
    assert status == 200
    assert body["windows"][-1]["end"] > 2
    assert [each["kind"] for each in body["warnings"]] == ["truncated"]
    status, problem, _ = await server.post(PATH + "?partial=yes", data=cut)
    assert (status, "true or false" in problem["detail"]) == (422, True)


async def test_a_sound_of_less_than_a_sample_is_rejected_and_of_one_is_answered(serve):
    server = await serve()
    for rate, expected in ((48_000, 422), (44_100, 200), (8_000, 200)):
        file = io.BytesIO()
        soundfile.write(file, [0.1], rate, format="WAV")
        status, _, _ = await server.post(PATH, data=file.getvalue())
        assert status == expected
