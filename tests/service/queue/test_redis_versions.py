"""A gateway switches to a version when every live worker has loaded it, and not before."""

import asyncio
import shutil
import time

import pytest

from common.errors import ArtefactError, Busy
from models.pin import Pin, write_pin
from models.store import Store
from service.inference import version_updater
from service.queue import redis_versions
from service.queue.redis_connection import connect
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import LOADED, REQUESTED, WORKERS
from service.queue.redis_versions import (
    prepare,
    read_requested,
    report_versions,
    request_versions,
    requested_of,
)
from service.server.worker import Worker
from service.server.worker_models import WorkerModels
from tests.service.conftest import noise, until, wav
from tests.service.helpers.redis_proxy import redis_proxied
from tests.service.helpers.versions import copied, put
from tests.service.inference.test_version_updater import LOAD, listen, served


@pytest.fixture
async def redis(redis_url):
    client = connect(redis_url)
    yield client
    await client.aclose()


async def test_a_request_for_a_version_expires_unless_it_is_repeated(redis):
    await request_versions(redis, [])
    assert requested_of(await read_requested(redis)) == set()
    await request_versions(redis, ["toy:1", "toy:2"])
    assert requested_of(await read_requested(redis)) == {"toy:1", "toy:2"}
    now = time.time()
    await redis.zadd(
        REQUESTED, {"toy:1": now - 11, "toy:2": now - 8, "../x:1": now, "toy": now, "toy:1:2": now}
    )
    assert requested_of(await read_requested(redis)) == {"toy:2"}
    assert await redis.zscore(REQUESTED, "toy:1") is None


async def test_a_live_worker_that_has_not_loaded_it_is_named_as_pending(redis, monkeypatch):
    monkeypatch.setattr(redis_versions, "PREPARE_S", 0.2)
    await prepare(redis, "toy:2")  # no worker is alive
    now = time.time()
    await redis.zadd(WORKERS, {"fresh": now, "a": now, "dead": now - 5})
    await report_versions(redis, "dead", [])
    await report_versions(redis, "a", ["toy:1"])
    with pytest.raises(ArtefactError, match=r"^toy 2: not loaded by worker a$"):
        await prepare(redis, "toy:2")
    waiting = asyncio.create_task(prepare(redis, "toy:2"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await report_versions(redis, "a", ["toy:1", "toy:2"])
    await waiting


async def test_an_unavailable_queue_prepares_nothing(tmp_path):
    client = connect(f"unix://{tmp_path}/none")
    with pytest.raises(Busy, match="the queue is unavailable"):
        await prepare(client, "toy:2")
    await client.aclose()


@pytest.fixture
def folder(artefacts, tmp_path, monkeypatch):
    monkeypatch.setattr(version_updater, "SCAN_S", 0.05)
    monkeypatch.setattr("service.server.worker.HEARTBEAT_S", 0.05)
    return copied(artefacts, tmp_path)


@pytest.fixture
async def work(redis_url):
    """Start workers, each on a folder of versions."""
    begun = []

    async def start(folder, name="w"):
        models = WorkerModels(Store(folder))
        await asyncio.to_thread(models.load, ())
        jobs = RedisConsumer(redis_url, name=name)
        worker = Worker(jobs, models.find, max_batch=8, heartbeat=lambda: None, models=models)
        begun.append((worker, asyncio.create_task(worker.run())))
        return models

    yield start
    for worker, running in begun:
        worker.shut_down()
        await running


async def test_streams_switch_versions_through_redis_and_no_window_waits_for_a_model(
    serve, folder, work, redis_url, redis
):
    models = await work(folder)
    server = await serve(artefacts=folder, redis=redis_url)
    listener = await listen(server)
    assert await listener.exchange() == "2"
    for version in range(3, 6):
        put(folder, version)
        await until(lambda: served(server) == str(version))  # noqa: B023 - asked at once
        assert f"toy:{version}" in models.loaded
        assert await listener.exchange(2) == str(version)
    assert (await server.post(LOAD, json={"version": "1"}))[1]["previous"] == "5"
    assert "toy:1" in models.loaded
    assert await listener.exchange() == "1"
    await redis.zadd(REQUESTED, dict.fromkeys(["toy:2", "toy:3", "toy:4", "toy:5"], 0))
    await until(lambda: set(models.loaded) == {"toy:1", "toy-net:1"})
    assert await listener.end() == [2, 3, 3, 4, 4, 5, 5, 1]


async def test_a_version_is_not_served_until_every_worker_has_loaded_it(
    serve, folder, work, redis_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(redis_versions, "PREPARE_S", 0.3)
    far = shutil.copytree(folder, tmp_path / "far")
    await work(folder, "near")
    await work(far, "far")
    server = await serve(artefacts=folder, redis=redis_url)
    listener = await listen(server)
    put(folder, 3)
    await until(lambda: server.gateway.scanner.rejected("toy"))
    assert served(server) == "2"
    assert (await server.get("/v1/models/toy"))[1]["refused"] == {
        "3": "toy 3: not loaded by worker far"
    }
    status, problem, _ = await server.post(LOAD, json={"version": "3"})
    assert (status, problem["type"]) == (409, "urn:timbre:problem:version-refused")
    assert await listener.exchange(2) == "2"
    put(far, 3)
    await until(lambda: served(server) == "3")
    assert await listener.exchange() == "3"
    assert await listener.end() == [2, 2, 3]


async def test_a_gateway_that_starts_before_the_workers_are_upgraded_serves_what_they_have(
    serve, folder, work, redis_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(redis_versions, "PREPARE_S", 2.0)
    far = shutil.copytree(folder, tmp_path / "far")
    put(folder, 3)
    await work(far)
    server = await serve(artefacts=folder, redis=redis_url)
    assert served(server) == "2"
    assert server.gateway.scanner.rejected("toy") == {"3": "toy 3: not loaded by worker w"}
    listener = await listen(server)
    assert await listener.exchange() == "2"
    put(far, 3)
    await until(lambda: served(server) == "3")
    assert await listener.exchange() == "3"
    assert await listener.end() == [2, 3]


@pytest.mark.parametrize(("pinned", "version"), [(None, "4"), ("3", "3")])
async def test_a_version_stays_that_is_pinned_or_before_which_the_workers_have_none(
    serve, folder, work, redis_url, tmp_path, monkeypatch, pinned, version
):
    monkeypatch.setattr(redis_versions, "PREPARE_S", 0.1)
    far = shutil.copytree(folder, tmp_path / "far")
    for number in (3, 4):
        put(folder, number)
    if pinned:
        write_pin(folder / "toy", Pin(version=pinned, newest="4"))
    else:
        for number in (1, 2):
            shutil.rmtree(folder / "toy" / str(number))
    await work(far)
    server = await serve(artefacts=folder, redis=redis_url)
    assert served(server) == version


@pytest.mark.slow  # It waits for each version in turn.
@pytest.mark.parametrize(("newest", "version"), [(5, "2"), (6, "6")])
async def test_at_the_start_the_three_versions_before_the_newest_are_tried(
    serve, folder, work, redis_url, tmp_path, monkeypatch, newest, version
):
    monkeypatch.setattr(redis_versions, "PREPARE_S", 3.0)
    far = shutil.copytree(folder, tmp_path / "far")
    for number in range(3, newest + 1):
        put(folder, number)
    await work(far)
    server = await serve(artefacts=folder, redis=redis_url, models=("toy",))
    assert served(server) == version


async def test_a_gateway_is_not_ready_while_the_workers_load_its_models(
    serve, folder, work, redis_url, tmp_path
):
    far = shutil.copytree(folder, tmp_path / "far")
    put(folder, 3)
    await work(far)
    server = await serve(ready=False, artefacts=folder, redis=redis_url)
    await until(lambda: server.gateway.registry.loaded and not server.gateway.queue.unavailable)
    assert not server.gateway.ready
    with pytest.raises(Busy, match="workers are still loading"):
        server.gateway.check_ready()
    put(far, 3)
    await server.gateway.opening
    assert server.gateway.ready
    assert served(server) == "3"


async def test_a_queue_that_goes_away_at_the_start_makes_no_gateway_ready_for_what_workers_lack(
    serve, folder, work, redis_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(redis_versions, "PREPARE_S", 60.0)
    far = shutil.copytree(folder, tmp_path / "far")
    put(folder, 3)
    await work(far)
    async with redis_proxied(redis_url, tmp_path) as (proxy, url):
        server = await serve(ready=False, artefacts=folder, redis=url)
        gateway = server.gateway
        await until(lambda: gateway.registry.loaded and not gateway.queue.unavailable)
        proxy.away = True
        proxy.close()
        refused = proxy.connections + 30  # all that use Redis have tried, several times
        await until(lambda: proxy.connections >= refused)
        proxy.away = False
        await until(lambda: not gateway.queue.unavailable)
        with pytest.raises(Busy, match="workers are still loading"):
            gateway.check_ready()
        put(far, 3)
        await gateway.opening
        assert gateway.ready
        assert served(server) == "3"
        assert gateway.scanner.rejected("toy") == {}
        await gateway.shut_down()


async def test_a_stopped_worker_is_not_pending(serve, folder, work, redis_url, redis):
    await work(folder)
    server = await serve(artefacts=folder, redis=redis_url)
    await redis.hset(LOADED, "gone", "toy:2")
    put(folder, 3)
    await until(lambda: served(server) == "3")
    assert (await server.post("/v1/models/toy/classify", data=wav(noise(2))))[1]["version"] == "3"
