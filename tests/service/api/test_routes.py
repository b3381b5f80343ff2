"""HTTP: the right answers, and for everything that is wrong the right refusal, in one shape."""

import asyncio
import io
import json
import socket
import threading

import aiohttp
import numpy as np
import pytest

from features.extract import compute
from models.store import Store
from service.inference.registry import ModelRegistry
from tests.service.conftest import RATE, noise, pcm, tone, until, wav
from tests.service.helpers.valve import Valve

CLASSIFY = "/v1/models/toy/classify"


def is_problem(status, answer, headers):
    return (
        set(answer) == {"type", "title", "status", "detail"}
        and answer["status"] == status
        and answer["type"].startswith("urn:timbre:problem:")
        and headers["Content-Type"].startswith("application/problem+json")
        and "Traceback" not in str(answer)
    )


async def test_a_clip_is_answered_exactly_as_promised(serve):
    server = await serve()
    status, answer, _ = await server.post(CLASSIFY, data=wav(tone(4.0)))
    assert status == 200
    assert set(answer) == {"model", "version", "windows", "labels", "timing_ms"}
    assert (answer["model"], answer["version"], answer["labels"]) == ("toy", "2", ["tone"])
    assert [(window["start"], window["end"]) for window in answer["windows"]] == [(0, 2), (2, 4)]
    assert all(set(window) == {"start", "end", "scores", "labels"} for window in answer["windows"])
    assert set(answer["timing_ms"]) == {"decode", "features", "queue", "model", "total"}
    # Of one window: where two are asked one after the other, the second waits while the first is
    # with the model.
    _, answer, _ = await server.post(CLASSIFY, data=wav(tone(2.0)))
    stages = dict(answer["timing_ms"])
    assert sum(stages.values()) - stages["total"] <= stages["total"] * 1.001
    assert min(stages.values()) >= 0


async def test_scores_are_those_of_the_model_on_the_offline_features(serve, artefacts):
    server = await serve()
    samples = np.concatenate((tone(2), noise(2)))
    _, answer, _ = await server.post(CLASSIFY, data=wav(samples))
    heard = np.frombuffer(pcm(samples), "<i2").astype(np.float32) / 32_768
    model = Store(artefacts).load("toy")
    for index, window in enumerate(answer["windows"]):
        vector = compute(heard[index * 2 * RATE :][: 2 * RATE], kind="features")
        expected = dict(zip(model.labels, model.predict(vector[None])[0].tolist(), strict=True))
        assert window["scores"] == pytest.approx(expected, abs=1e-5)
    assert [window["labels"] for window in answer["windows"]] == [["tone"], ["noise"]]
    assert set(answer["labels"]) == {"tone", "noise"}


async def test_a_form_and_a_bare_body_are_answered_alike(serve):
    server = await serve()
    form = aiohttp.FormData()
    form.add_field("file", wav(noise(3)), filename="noise.wav")
    _, first, _ = await server.post(CLASSIFY, data=form)
    _, second, _ = await server.post(CLASSIFY, data=wav(noise(3)))
    assert first["windows"] == second["windows"]


async def test_hop_top_k_and_version_are_heeded(serve):
    server = await serve()
    _, answer, _ = await server.post(f"{CLASSIFY}?hop=0.5&top_k=1&version=1", data=wav(tone(3.2)))
    assert answer["version"] == "1"
    assert [window["start"] for window in answer["windows"]] == [0, 0.5, 1, 1.5]
    assert answer["windows"][-1]["end"] == 3.2
    assert all(list(window["scores"]) == ["tone"] for window in answer["windows"])


async def test_scores_and_labels_come_best_first(serve):
    server = await serve()
    _, answer, _ = await server.post(CLASSIFY, data=wav(noise(2)))
    scores = list(answer["windows"][0]["scores"].values())
    assert scores == sorted(scores, reverse=True)


async def test_the_network_on_spectrograms_is_served_by_the_same_code(serve):
    server = await serve()
    status, answer, _ = await server.post("/v1/models/toy-net/classify", data=wav(noise(2)))
    assert (status, answer["model"]) == (200, "toy-net")
    assert set(answer["windows"][0]["scores"]) == {"tone", "noise"}


async def test_a_hundred_clips_at_once_are_all_answered(serve):
    server = await serve()
    clips = [wav(tone(2.0, 200 + 10 * n)) for n in range(100)]
    answers = await asyncio.gather(*(server.post(CLASSIFY, data=clip) for clip in clips))
    assert [status for status, *_ in answers] == [200] * 100
    assert server.gateway.requests == 0


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("topk=1", "topk"),
        ("top_k=x", "top_k"),
        ("top_k=0", "top_k"),
        ("hop=0", "hop"),
        ("hop=nan", "hop"),
        ("hop=9", "hop"),
        ("hop=1&hop=1", "hop"),
    ],
)
async def test_a_bad_query_is_refused_by_name(serve, query, named):
    server = await serve()
    status, answer, headers = await server.post(f"{CLASSIFY}?{query}", data=wav(tone(2)))
    assert status == 422
    assert is_problem(status, answer, headers)
    assert named in answer["detail"]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/models/piano/classify", "toy, toy-net"),
        ("/v1/models/toy/classify?version=7", "1, 2"),
        ("/v1/models/..%2Ftoy/classify", "toy, toy-net"),
        ("/v1/nothing", "path"),
    ],
)
async def test_what_is_not_there_is_404_with_what_there_is(serve, path, named):
    server = await serve()
    status, answer, headers = await server.post(path, data=wav(tone(2)))
    assert status == 404
    assert is_problem(status, answer, headers)
    assert named in answer["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", CLASSIFY), ("DELETE", "/v1/models"), ("POST", "/livez")]
)
async def test_a_wrong_method_is_405_with_the_right_ones(serve, method, path):
    server = await serve()
    async with server.http.request(method, server.url + path) as response:
        assert response.status == 405
        assert response.headers["Allow"]
        assert is_problem(405, await response.json(), response.headers)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"not a sound at all, only words", 415),
        (wav(tone(2))[:1_000], 400),
        (wav(tone(0)), 422),
        (
            b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x22\x56\0\0\x44\xac\0\0\2\0\x10\0data\xf0\xff\xff\x7f"
            + bytes(40),
            400,
        ),
    ],
    ids=["empty", "not a sound", "truncated", "zero length", "a header that lies"],
)
async def test_a_body_that_is_no_clip_is_refused(serve, data, status):
    server = await serve()
    answers = [await server.post(CLASSIFY, data=data)]
    form = aiohttp.FormData()
    form.add_field("file", data, filename="clip")
    answers.append(await server.post(CLASSIFY, data=form))
    for found in answers:
        assert found[0] == status, found[1]
        assert is_problem(*found)


async def test_a_form_with_other_fields_is_refused_by_name(serve):
    server = await serve()
    form = aiohttp.FormData()
    form.add_field("sound", wav(tone(2)), filename="x.wav")
    status, answer, headers = await server.post(CLASSIFY, data=form)
    assert status == 422
    assert is_problem(status, answer, headers)
    assert "sound" in answer["detail"]


@pytest.mark.parametrize("body", [b"--x\r\nnonsense", b"", b"--x--\r\n", b"--x\r\n\r\nno end"])
async def test_a_form_that_is_none_is_refused(serve, body):
    server = await serve()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, answer, headers = await server.post(CLASSIFY, data=body, headers=headers)
    assert status in (400, 422)
    assert is_problem(status, answer, headers)


async def test_too_many_bytes_are_refused_announced_or_not(serve):
    server = await serve(max_body=100_000)

    async def endless():
        for _ in range(1_000):
            yield bytes(10_000)

    for data in (bytes(100_001), endless()):
        status, answer, headers = await server.post(CLASSIFY, data=data)
        assert status == 413
        assert is_problem(status, answer, headers)
        assert "100000" in answer["detail"]
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 200


async def test_an_announced_size_is_refused_before_a_byte_is_read(serve):
    server = await serve(max_body=1_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(
        f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n".encode()
    )
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 60)
    writer.close()


async def test_too_long_a_clip_and_too_many_windows_are_refused(serve):
    server = await serve(max_seconds=3.0, max_windows=5)
    status, answer, headers = await server.post(CLASSIFY, data=wav(tone(3.5)))
    assert status in (413, 422)
    assert is_problem(status, answer, headers)
    status, answer, headers = await server.post(f"{CLASSIFY}?hop=0.1", data=wav(tone(2.9)))
    assert status == 422
    assert is_problem(status, answer, headers)
    assert (await server.post(CLASSIFY, data=wav(tone(2.9))))[0] == 200


async def test_a_body_that_never_ends_is_given_up(serve):
    server = await serve(body_timeout=0.1)

    async def dribble():
        yield bytes(10)
        await asyncio.Event().wait()
        yield bytes(10)

    status, answer, headers = await server.post(CLASSIFY, data=dribble())
    assert status == 400
    assert is_problem(status, answer, headers)


async def test_past_its_bounds_the_server_says_busy_and_when_to_come_back(serve):
    for settings in ({"max_clips": 1}, {"max_buffered": 100_000}):
        server = await serve(body_timeout=60.0, **settings)
        arrived = asyncio.Event()

        async def slow(arrived=arrived):
            yield wav(tone(2))[:50_000]
            await arrived.wait()

        held = asyncio.create_task(server.post(CLASSIFY, data=slow()))
        await until(lambda server=server: server.gateway.requests)
        status, answer, headers = await server.post(CLASSIFY, data=wav(tone(2)))
        assert status == 503
        assert is_problem(status, answer, headers)
        assert int(headers["Retry-After"]) > 0
        held.cancel()


async def test_a_client_that_disconnects_while_its_job_is_pending_takes_the_job_along(serve):
    server = await serve(max_batch=1)
    valve, body = Valve(server), wav(tone(2))
    running = asyncio.create_task(server.post(CLASSIFY, data=body))
    await until(valve.begun.is_set)
    pending = asyncio.create_task(server.post(CLASSIFY, data=body))
    await until(lambda: server.gateway.queue.depth == 1)
    pending.cancel()
    await until(lambda: server.gateway.queue.depth == 0)
    valve.let(10)
    assert (await running)[0] == 200
    await until(lambda: server.gateway.idle)
    assert valve.rows == 1


async def test_a_client_that_disconnects_while_it_uploads_leaves_no_work_behind(serve):
    server = await serve()

    async def slow():
        yield wav(tone(2))[:1_000]
        await asyncio.sleep(60)

    held = asyncio.create_task(server.post(CLASSIFY, data=slow()))
    await until(lambda: server.gateway.requests)
    held.cancel()
    await until(lambda: not server.gateway.requests)


async def test_a_fault_of_ours_is_500_without_a_traceback(serve, monkeypatch, capsys):
    server = await serve()
    monkeypatch.setattr("service.inference.clips.window_spans", lambda *_, **__: 1 / 0)
    status, answer, headers = await server.post(
        CLASSIFY, data=wav(tone(2)), headers={"X-Request-Id": "abc-7"}
    )
    assert status == 500
    assert is_problem(status, answer, headers)
    assert "ZeroDivision" not in json.dumps(answer)
    assert "abc-7" in answer["detail"]
    assert "ZeroDivisionError" in capsys.readouterr().err


async def test_models_are_listed_and_described(serve):
    server = await serve()
    _, listing, _ = await server.get("/v1/models")
    assert [model["name"] for model in listing["models"]] == ["toy", "toy-net"]
    _, toy, _ = await server.get("/v1/models/toy")
    assert toy == listing["models"][0]
    assert (toy["version"], toy["versions"]) == ("2", ["1", "2"])
    assert toy["labels"] == [
        {"name": "tone", "threshold": 0.5},
        {"name": "noise", "threshold": 0.5},
    ]
    assert toy["input"]["sample_rate"] == RATE
    assert toy["provenance"][0]["licence"] == "CC0-1.0"
    assert (await server.get("/v1/models/piano"))[0] == 404


async def test_only_the_models_asked_for_are_served(serve):
    server = await serve(models=("toy",))
    _, listing, _ = await server.get("/v1/models")
    assert [model["name"] for model in listing["models"]] == ["toy"]
    assert (await server.get("/v1/models/toy-net"))[0] == 404


async def test_a_server_lives_before_it_is_ready_and_after_it_began_to_leave(serve, monkeypatch):
    load, let = ModelRegistry.load, threading.Event()
    monkeypatch.setattr(ModelRegistry, "load", lambda catalogue: let.wait(60) and load(catalogue))
    server = await serve(ready=False)
    assert (await server.get("/livez"))[0] == 200
    status, answer, headers = await server.get("/readyz")
    assert status == 503
    assert is_problem(status, answer, headers)
    assert headers["Retry-After"]
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 503
    let.set()
    await server.gateway.opening
    assert (await server.get("/readyz"))[0] == 200
    await server.gateway.shut_down()
    assert (await server.get("/livez"))[0] == 200
    assert (await server.get("/readyz"))[0] == 503
    status, answer, headers = await server.post(CLASSIFY, data=wav(tone(2)))
    assert (status, answer["type"]) == (503, "urn:timbre:problem:shutting-down")


async def test_leaving_finishes_what_was_accepted(serve):
    server = await serve(grace=60.0)
    clip = io.BytesIO(wav(noise(30)))
    held = asyncio.create_task(server.post(f"{CLASSIFY}?hop=0.1", data=clip))
    await until(lambda: server.gateway.requests)
    await server.gateway.shut_down()
    status, answer, _ = await held
    assert status == 200
    assert len(answer["windows"]) == 281


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("a b", False), ("x" * 200, False)])
async def test_a_request_id_comes_back_and_stands_in_the_log(serve, capsys, given, kept):
    server = await serve()
    _, _, headers = await server.get("/v1/models", headers={"X-Request-Id": given})
    assert (headers["X-Request-Id"] == given) is kept
    assert f" {headers['X-Request-Id']} GET" in capsys.readouterr().err


async def test_what_is_not_http_gets_an_answer_too(serve):
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    assert (await server.get("/livez"))[0] == 200


async def test_connections_that_say_nothing_do_not_keep_others_out(serve):
    server = await serve()
    port = int(server.url.rsplit(":", 1)[1])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    assert (await server.get("/livez"))[0] == 200
    for each in idle:
        each.close()
