"""HTTP routes: responses, and the problem document of every invalid request."""

import asyncio
import io
import re
import socket
import threading

import numpy as np
import pytest
import soundfile

from common.mapping import parse_json
from features.extract import compute
from models import store, verification
from models.store import Store
from service.inference.registry import ModelRegistry
from tests.service.conftest import RATE, noise, pcm, tone, until, wav
from tests.service.helpers.problems import is_problem
from tests.service.helpers.valve import Valve

CLASSIFY = "/v1/models/toy/classify"


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


async def test_hop_top_k_and_version_are_applied(serve):
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


async def test_too_long_a_clip_and_too_many_windows_are_rejected(serve):
    server = await serve(max_seconds=3.0, max_windows=5)
    status, answer, headers = await server.post(CLASSIFY, data=wav(tone(3.5)))
    assert status in (413, 422)
    assert is_problem(status, answer, headers)
    status, answer, headers = await server.post(f"{CLASSIFY}?hop=0.1", data=wav(tone(2.9)))
    assert status == 422
    assert is_problem(status, answer, headers)
    assert (await server.post(CLASSIFY, data=wav(tone(2.9))))[0] == 200


async def test_a_clip_is_bounded_by_its_samples_over_all_channels(serve):
    server = await serve(max_samples=44_100)
    status, answer, headers = await server.post(CLASSIFY, data=wav(tone(2.1)))
    assert status == 413
    assert "at most 44100" in answer["detail"]
    assert is_problem(status, answer, headers)
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 200


class StepClock:
    """A clock that stands still."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("model", ["toy", "toy-net"])
async def test_floats_that_a_stream_would_reject_are_rejected_in_a_clip(serve, model):
    server = await serve()
    for level, expected in ((17, 422), (1e18, 422), (15, 200)):
        buffer = io.BytesIO()
        sound = level * np.sign(tone(2)).astype(np.float32)
        soundfile.write(buffer, sound, 22_050, format="WAV", subtype="FLOAT")
        path = f"/v1/models/{model}/classify"
        async with server.http.post(server.url + path, data=buffer.getvalue()) as response:
            answer = await response.text()
            assert response.status == expected
            parse_json(answer, error=ValueError)


async def test_past_its_bounds_the_server_is_busy_with_retry_after(serve):
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


@pytest.mark.parametrize(
    ("model", "shed_s", "status"), [("toy", 0.9, 200), ("toy", 1.1, 503), ("other", 1.1, 200)]
)
async def test_a_model_that_drops_live_windows_takes_no_clips(serve, model, shed_s, status):
    server = await serve()
    clock = server.gateway.turns.clock = StepClock()
    server.gateway.load_shedder.record(clock.now, model=model)
    clock.now += shed_s
    answered, _, headers = await server.post(CLASSIFY, data=wav(tone(2)))
    assert answered == status
    assert headers.get("Retry-After") == ("2" if status == 503 else None)
    clock.now += 2.1
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 200


async def test_a_disconnect_cancels_the_pending_job(serve):
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


async def test_a_disconnect_during_the_upload_ends_all_work(serve):
    server = await serve()

    async def slow():
        yield wav(tone(2))[:1_000]
        await asyncio.sleep(60)

    held = asyncio.create_task(server.post(CLASSIFY, data=slow()))
    await until(lambda: server.gateway.requests)
    held.cancel()
    await until(lambda: not server.gateway.requests)


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


async def test_the_report_of_a_version_is_text_that_runs_nothing(serve):
    server = await serve()
    for query in ("", "?version=1"):
        async with server.http.get(f"{server.url}/v1/models/toy/report{query}") as response:
            assert (response.status, await response.text()) == (200, "# Toy\n")
            assert response.content_type == "text/markdown"
            assert "sandbox" in response.headers["Content-Security-Policy"]
    for path in (
        "piano/report",
        "toy/report?version=9",
        "toy/report?version=..%2F1",
        "toy/report?version=",
    ):
        assert (await server.get(f"/v1/models/{path}"))[0] == 404
    assert (await server.get("/v1/models/toy/report?colour=blue"))[0] == 422


async def test_only_the_models_asked_for_are_served(serve):
    server = await serve(models=("toy",))
    _, listing, _ = await server.get("/v1/models")
    assert [model["name"] for model in listing["models"]] == ["toy"]
    assert (await server.get("/v1/models/toy-net"))[0] == 404


async def test_a_server_is_live_before_it_is_ready_and_during_shutdown(serve, monkeypatch):
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


async def test_a_machine_without_time_to_load_the_models_makes_no_server_give_up(
    serve, monkeypatch
):
    read, let = store.read, threading.Event()
    monkeypatch.setattr(verification, "PROGRESS_S", 0.02)
    monkeypatch.setattr(store, "read", lambda *a, **o: let.wait(60) and read(*a, **o))
    server = await serve(ready=False, models=("toy",), load_timeout=0.5)
    waits = re.compile(r"still being loaded: toy 2 for (\d) s, 0\.\d of them on a processor")
    answer = {"detail": ""}
    # Longer than it may take of a processor.
    while not (found := waits.search(answer["detail"])) or int(found[1]) < 2:
        status, answer, _ = await server.get("/readyz")
        assert status == 503
        assert (await server.get("/livez"))[0] == 200
    let.set()
    await server.gateway.opening
    assert (await server.get("/readyz"))[0] == 200


async def test_shutdown_finishes_accepted_requests(serve):
    server = await serve(grace=60.0)
    clip = io.BytesIO(wav(noise(30)))
    held = asyncio.create_task(server.post(f"{CLASSIFY}?hop=0.1", data=clip))
    await until(lambda: server.gateway.requests)
    await server.gateway.shut_down()
    status, answer, _ = await held
    assert status == 200
    assert len(answer["windows"]) == 281


async def test_silent_connections_do_not_block_others(serve):
    server = await serve()
    port = int(server.url.rsplit(":", 1)[1])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    assert (await server.get("/livez"))[0] == 200
    for each in idle:
        each.close()
