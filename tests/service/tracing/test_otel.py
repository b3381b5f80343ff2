"""Traces of real servers at a real OTLP receiver: whole trees, what is kept, what is lost."""

import asyncio
import contextlib
import socket

import numpy as np
import pytest

from service.server.worker import Worker
from service.tracing.start import open_tracer
from tests.helpers.server_process import BIN
from tests.service.conftest import begin, noise, pcm, rest_of, tone, until, wav
from tests.service.helpers.otlp import often, started_receiver  # noqa: F401

CLASSIFY = "/v1/models/toy/classify"
ROUTE = "/v1/models/{name}/classify"
STREAM = "GET /v1/models/{name}/stream"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def stream(server, seconds=3.5, **start):
    """Send sound as one stream; return what the server sent."""
    async with server.stream() as socket:
        await begin(socket, **start)
        await socket.send_bytes(pcm(noise(seconds)))
        await socket.send_json({"type": "end"})
        return await rest_of(socket)


async def test_a_request_and_each_window_are_whole_trees_in_one_process(serve, receiver):
    server = await serve(otel=receiver.url, otel_ratio=1.0)
    _, _, headers = await server.post(CLASSIFY, data=wav(tone(2)))
    messages = await stream(server)
    windows = sum(getattr(each, "get", {}.get)("type") == "window" for each in messages)
    await until(lambda: receiver.named(STREAM) and len(receiver.named("window")) == windows > 2)
    root = receiver.one(f"POST {ROUTE}")
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["timbre.request.id"] == headers["X-Request-Id"]
    assert "url.query" not in root.attributes
    assert receiver.children(root).keys() == {"waiting", "decode", "features", "queue"}
    for span in (root, *receiver.named("window")):
        steps = receiver.children(span)
        assert steps.keys() >= {"waiting", "features", "queue"}
        call = receiver.children(steps["queue"])["model toy"]
        assert span.begin <= steps["queue"].begin <= call.begin <= call.end <= span.end
        assert not span.failed
        ((trace, id_),) = call.links
        batch = receiver.by_id()[id_]
        assert (batch.trace, batch.name) == (trace, "batch toy")
        assert (steps["queue"].trace, steps["queue"].id) in batch.links
    stream_span = receiver.one(STREAM)
    assert {link for span in receiver.named("window") for link in span.links} == {
        (stream_span.trace, stream_span.id)
    }
    assert stream_span.attributes["timbre.stream.windows"] == windows
    assert {span.resource["service.name"] for span in receiver.spans} == {"timbre"}


@contextlib.asynccontextmanager
async def worker_process(artefacts, redis_url, *settings):
    """A worker in a process of its own."""
    options = [option for each in settings for option in ("--set", each)]
    process = await asyncio.create_subprocess_exec(
        BIN / "timbre", "worker", "--redis", redis_url, "--artefacts", artefacts, *options,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_the_tree_is_whole_across_gateway_redis_and_worker(
    serve, receiver, artefacts, redis_url
):
    async with worker_process(artefacts, redis_url, f"otel={receiver.url}", "otel_ratio=0"):
        server = await serve(redis=redis_url, otel=receiver.url, otel_ratio=0.0)
        # The caller has sampled it: gateway and worker keep it, whatever their ratios.
        caller = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        await server.post(CLASSIFY, data=wav(tone(3)), params={"hop": 1.0}, headers=caller)
        await server.post(CLASSIFY, data=wav(tone(2)))
    await until(lambda: receiver.named("process jobs:clips") and receiver.named(f"POST {ROUTE}"))
    root = receiver.one(f"POST {ROUTE}")
    assert (root.trace, root.parent) == (TRACE, CALLER)
    ids = receiver.by_id()
    batches = receiver.named("process jobs:clips")
    for span in receiver.spans:
        assert span is root or span.parent in ids or span in batches
    assert sum(batch.attributes["messaging.batch.message_count"] for batch in batches) == 2
    sent = receiver.named("send jobs:clips")
    assert len(sent) == len(receiver.named("queue")) == 2
    for span in sent:
        assert (span.kind, ids[span.parent].name) == (4, "queue")
        assert span.attributes["messaging.system"] == "redis"
        assert span.attributes["messaging.message.id"]
        call = receiver.children(span)["model toy"]
        assert (span.resource["timbre.role"], call.resource["timbre.role"]) == ("gateway", "worker")
        ((trace, batch),) = call.links
        assert (ids[batch].trace, ids[batch].kind) == (trace, 5)
        assert (span.trace, span.id) in ids[batch].links
    assert len(receiver.named("receive answers:{gateway}")) == 2


async def test_workers_and_gateways_that_trace_and_that_do_not_work_side_by_side(
    serve, artefacts, redis_server, redis_url, receiver
):
    """A job is the same bytes; what comes beside it is ignored unless it is a traceparent."""
    from models.store import Store
    from service.queue.redis_consumer import RedisConsumer
    from service.queue.redis_keys import CLIP_JOBS

    untraced = await serve(redis=redis_url, ready=False)
    traced = await serve(redis=redis_url, ready=False, otel=receiver.url, otel_ratio=1.0)
    consumer = RedisConsumer(redis_url, name="w")
    await consumer.open()
    for server in (untraced, traced):
        await server.gateway.opening
    asked = [
        asyncio.create_task(server.post(CLASSIFY, data=wav(tone(2))))
        for server in (untraced, traced)
    ]
    await until(lambda: redis_server.client.xlen(CLIP_JOBS) == 2)
    entries = [fields for _, fields in redis_server.client.xrange(CLIP_JOBS)]
    assert sorted(map(len, entries)) == [1, 2]
    for junk in (b"", b"\xff" * 1_000, b"00-\n", "٣".encode()):
        redis_server.client.xadd(CLIP_JOBS, {"job": entries[0][b"job"], "trace": junk})
    tracer = open_tracer(receiver.url, ratio=1.0, role="worker")
    find = Store(artefacts).load
    await Worker(
        consumer, find, max_batch=8, heartbeat=lambda: None, tracer=tracer
    ).run(burst=True)  # fmt: skip
    assert [(await each)[0] for each in asked] == [200, 200]
    (batch,) = receiver.named("process jobs:clips")
    assert batch.attributes["messaging.batch.message_count"] == 6
    assert len(batch.links) == len(receiver.named("model toy")) == 1
    assert redis_server.client.xlen("{timbre}:dead") == 0


async def test_what_is_dropped_late_or_failed_is_kept_at_ratio_0(
    serve, receiver, monkeypatch, capsys
):
    server = await serve(otel=receiver.url, otel_ratio=0.0)
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 200
    assert (await server.post(CLASSIFY, data=b"no sound"))[0] == 415
    await stream(server)
    async with server.stream() as socket:
        await begin(socket, numbered=True)
        for first in (0, 100_000):
            await socket.send_bytes(first.to_bytes(8, "little") + pcm(noise(0.5)))
        await socket.send_json({"type": "end"})
        await rest_of(socket)
    late = await serve(otel=receiver.url, otel_ratio=0.0, window_deadline=1e-6)
    await stream(late)
    monkeypatch.setattr("service.inference.clips.window_spans", lambda *_, **__: 1 / 0)
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 500
    await until(
        lambda: (
            len(receiver.named(STREAM)) == 2
            and {span.attributes.get("error.type") for span in receiver.named("window")}
            == {"gap", "late"}
            and receiver.named(f"POST {ROUTE}")
        )
    )
    failed = receiver.one(f"POST {ROUTE}")
    assert (failed.failed, failed.attributes["http.response.status_code"]) == (True, 500)
    assert f"trace_id={failed.trace}" in capsys.readouterr().err
    assert all(span.failed for span in receiver.named("window"))
    dropped = [span.attributes["timbre.stream.dropped_samples"] for span in receiver.named(STREAM)]
    assert max(dropped) > 0


@pytest.mark.usefixtures("no_version_is_waited_for")
async def test_a_model_that_fails_is_kept_by_gateway_and_worker(
    serve, receiver, redis_url, monkeypatch, capsys
):
    from service.queue.redis_consumer import RedisConsumer

    class Broken:
        def predict(self, batch):
            raise ArithmeticError(f"{np.shape(batch)}")

    tracer = open_tracer(receiver.url, ratio=0.0, role="worker")
    worker = Worker(
        RedisConsumer(redis_url, name="w"), lambda *_: Broken(), max_batch=8,
        heartbeat=lambda: None, tracer=tracer,
    )  # fmt: skip
    running = asyncio.create_task(worker.run())
    server = await serve(redis=redis_url, otel=receiver.url, otel_ratio=0.0)
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 500
    await stream(server)
    await until(lambda: receiver.named(STREAM) and len(receiver.named("window")) > 0)
    worker.shut_down()
    await running
    root = receiver.one(f"POST {ROUTE}")
    (call,) = [s for s in receiver.named("model toy") if s.trace == root.trace]
    assert (call.failed, call.attributes["error.type"]) == (True, "TimbreError")
    assert receiver.named("process jobs:clips")[0].failed
    assert receiver.named("window")[0].attributes["error.type"] == "TimbreError"
    assert f"trace_id={root.trace}" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["away", "silent"])
async def test_without_a_collector_requests_go_on_and_nothing_grows(serve, monkeypatch, kind):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == "silent":
            listener.listen(64)  # accepts, and never answers
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = await serve(otel=url, otel_ratio=1.0)
        for _ in range(3):
            answers = await asyncio.gather(
                *(server.post(CLASSIFY, data=wav(tone(2))) for _ in range(10))
            )
            assert {status for status, _, _ in answers} == {200}
        exporter = server.gateway.tracer.export.__self__
        queue = exporter._processor._batch_processor._queue
        assert 0 < len(queue) <= 64
        # It ends although it cannot send what is left.
        await asyncio.to_thread(exporter.close)


async def test_the_console_gets_spans_as_json(serve, capsys):
    server = await serve(otel="console", otel_ratio=1.0)
    await server.post(CLASSIFY, data=wav(tone(2)))
    await asyncio.to_thread(server.gateway.tracer.close)
    assert f'"name": "POST {ROUTE}"' in capsys.readouterr().out


async def test_the_names_in_the_environment_count_more_than_ours(serve, receiver, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "hall-7")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=someone")
    server = await serve(otel_ratio=1.0)
    await server.get("/v1/models")
    await server.get("/livez")
    await until(lambda: receiver.spans)
    assert receiver.one("GET /v1/models").resource["service.name"] == "hall-7"
    assert receiver.headers[0]["x-tenant"] == "someone"
    assert receiver.named("GET /livez") == []
