"""Whatever lies in Redis: gateways stay ready, workers live, commands print what they can."""

import asyncio
import json
import math

import numpy as np
import pytest

from common.errors import ArtefactError, InputError
from models.store import Store
from service.auth.keys import create_key
from service.auth.redis_limits import RedisLimits
from service.cli import keys as keys_command
from service.cli import queue as queue_command
from service.queue import redis_keys, redis_values, redis_versions
from service.queue.base import Reply
from service.queue.redis import RedisQueue
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import (
    API_KEYS,
    CLIP_JOBS,
    DEAD_LETTERS,
    GATEWAYS,
    GROUP,
    JOB_STREAMS,
    LIVE_JOBS,
    LOADED,
    OPEN_STREAMS,
    RATES,
    REPLIES,
    REQUESTED,
    WORKERS,
)
from service.queue.redis_values import entry_seconds, read_items, seconds_of, text_of
from service.server.worker import Worker
from service.server.worker_models import WorkerModels
from tests.service.conftest import until
from tests.service.queue.test_contract import Doubler, job

TEXTS = [b"\xff\xfe", b"", b"a\nb\x1b[31m", b"x" * 1_000_000, "ü\u202e".encode(), b"nan", b"-1"]
SCORES = [-math.inf, -1e300, 0, 1e15, 1e300, math.inf]
LAST_ENTRY = f"{2**64 - 1}-{2**64 - 1}"


@pytest.fixture(autouse=True)
def first(monkeypatch):
    """No invalid item has been logged yet."""
    monkeypatch.setattr(redis_values, "_logged_at", {})
    redis_values.invalid.clear()


@pytest.fixture
def client(redis_server, redis_url):
    return redis_server.client


@pytest.fixture
async def running(redis_url, tmp_path):
    """A gateway's queue and a worker that has models."""
    queue = RedisQueue(redis_url, max_jobs=100)
    worker = Worker(
        RedisConsumer(redis_url, name="w"),
        lambda *_: Doubler(),
        max_batch=4,
        heartbeat=lambda: None,
        models=WorkerModels(Store(tmp_path)),
    )
    working = asyncio.create_task(worker.run())
    await queue.open()
    yield queue
    assert not working.done()
    await queue.close()
    worker.shut_down()
    await working


@pytest.fixture
def maintained(client):
    """Wait until the worker and the gateway have read every key again, twice."""

    async def wait():
        # Each check of a gateway has one SET, each maintenance of a worker one HSET.
        before = {name: _calls(client, name) for name in ("set", "hset")}
        await until(lambda: all(_calls(client, name) > before[name] + 2 for name in before))

    return wait


def _calls(client, command):
    return client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]


async def test_no_odd_member_of_any_key_ends_a_worker_or_makes_a_gateway_unready(
    running, maintained, client, capfd, monkeypatch
):
    monkeypatch.setattr(redis_versions, "PREPARE_S", 0.2)
    gateway = running._name
    for text in TEXTS:
        for score in SCORES:
            client.zadd(WORKERS, {text + b"%g" % score: score, text: client.time()[0]})
            client.zadd(REQUESTED, {text + b"%g" % score: score, text: client.time()[0]})
        client.hset(LOADED, text, text)
        for key, field in ((LIVE_JOBS, "job"), (CLIP_JOBS, "job"), (REPLIES + gateway, "answers")):
            client.xadd(key, {field: text})
            client.xadd(key, {text: text})
        client.set(GATEWAYS + gateway, text)
        client.xgroup_createconsumer(LIVE_JOBS, GROUP, text or b"none")
    await maintained()
    assert (await running.submit(job(1))).scores[0] == 2
    assert (await running.submit(job(2, live=False))).scores[0] == 4
    with pytest.raises(ArtefactError, match=r"not loaded by worker .*w$"):
        await running.prepare("toy", "2")
    written = capfd.readouterr().err
    assert "queue unavailable" not in written
    assert "worker disconnected" not in written
    assert "Traceback" not in written
    for key in (WORKERS, LOADED, REQUESTED, REPLIES, *JOB_STREAMS):
        assert written.count(f"skipped key={key}") == 1
        assert redis_values.invalid[key] >= 2


@pytest.mark.parametrize("key", [WORKERS, LOADED, REQUESTED, REPLIES, GATEWAYS, DEAD_LETTERS])
async def test_a_key_of_another_type_is_replaced_and_no_gateway_gets_unready(
    key, running, maintained, client, capfd
):
    name = key + running._name if key in {REPLIES, GATEWAYS} else key
    client.delete(name)
    client.rpush(name, "x")
    client.xadd(LIVE_JOBS, {"job": b"junk"})
    await maintained()
    assert (await running.submit(job(1))).scores[0] == 2
    assert (await running.submit(job(2, live=False))).scores[0] == 4
    written = capfd.readouterr().err
    assert "queue unavailable" not in written
    assert "Traceback" not in written
    assert key in written
    if key != DEAD_LETTERS:
        await until(lambda: client.type(name) in {b"none", redis_keys.TYPES[key].encode()})


@pytest.mark.parametrize("key", JOB_STREAMS)
@pytest.mark.parametrize("damage", ["type", "ids"])
async def test_a_stream_of_jobs_that_takes_none_is_replaced(key, damage, running, client):
    if damage == "type":
        client.delete(key)
        client.set(key, "x")
    else:
        client.xadd(key, {"job": b"junk"}, id=LAST_ENTRY)
    async with asyncio.timeout(120):
        while True:
            try:
                await running.submit(job(1, live=key == LIVE_JOBS))
            except Exception as error:  # noqa: BLE001 - until it works again
                assert "unavailable" in str(error) or "deadline" in str(error)  # noqa: PT017
                await asyncio.sleep(0.01)
            else:
                break
    assert client.type(key) == b"stream"


async def test_replies_reach_a_gateway_whose_key_took_none(client, redis_url):
    worker = RedisConsumer(redis_url, name="w")
    queue = RedisQueue(redis_url, max_jobs=10)
    await worker.open()
    await queue.open()
    key = REPLIES + queue._name
    client.xadd(key, {"answers": b"junk"}, id=LAST_ENTRY)
    await until(lambda: client.xlen(key) == 0)
    asked = asyncio.create_task(queue.submit(job(3)))
    claimed = []
    while not claimed:
        claimed = await worker.claim(1, wait_s=1.0)
    await worker.complete(claimed, [Reply("3", np.ones(2, np.float32), 1.0)])
    assert (await asked).scores.tolist() == [1, 1]
    assert client.xlen(LIVE_JOBS) == 0
    await queue.close()
    await worker.close()


def test_invalid_items_are_skipped_counted_and_logged_once(capfd):
    key = "another key of this test"
    assert read_items(key, [b"a", b"\xff", b"", b"b"], text_of) == ["a", "b"]
    assert read_items(key, [b"\xff"], text_of) == []
    assert redis_values.invalid[key] == 3
    written = capfd.readouterr().err
    assert written.count("invalid data in Redis skipped") == 1
    assert "can't decode byte 0xff" in written


def test_what_an_item_may_be_is_bounded_on_both_sides():
    limit = redis_values.MAX_NAME
    assert text_of(b"x" * limit) == "x" * limit
    with pytest.raises(ValueError, match="256 bytes, at most 255"):
        text_of(b"x" * (limit + 1))
    for value in (0.0, float(redis_values.LATEST_S)):
        assert seconds_of(value) == value
    for value in (-0.1, redis_values.LATEST_S + 1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="is not a time"):
            seconds_of(value)
    assert entry_seconds(b"1500-3") == 1.5
    with pytest.raises(ValueError, match="is not a time"):
        entry_seconds(LAST_ENTRY.encode())


def test_another_error_than_a_wrong_value_is_not_swallowed():
    def fail(_):
        raise ZeroDivisionError

    def reject(_):
        raise InputError("no")

    with pytest.raises(ZeroDivisionError):
        read_items("x", [1], fail)
    assert read_items("x", [1], reject) == []


def _fill(client):
    """Something odd in all that `timbre queue` and `timbre keys` read."""
    for key in JOB_STREAMS:
        client.xgroup_create(key, GROUP, id="0", mkstream=True)
    for text in TEXTS:
        for at, score in enumerate(SCORES):
            client.zadd(WORKERS, {text + b"%d" % at: score, text: client.time()[0]})
        client.hset(API_KEYS, text, text)
        for key in (LIVE_JOBS, CLIP_JOBS, DEAD_LETTERS):
            client.xadd(key, {"job": text, "why": text, "worker": text, "stream": text})
            client.xadd(key, {text: text})
        for key in JOB_STREAMS:
            client.xreadgroup(GROUP, text or b"none", {key: ">"}, count=1)
    client.xadd(DEAD_LETTERS, {"why": "last"}, id=LAST_ENTRY)


def _wrong(client):
    for key in (LIVE_JOBS, CLIP_JOBS, WORKERS, LOADED, DEAD_LETTERS):
        client.rpush(key, "x")


@pytest.mark.parametrize("damage", [_fill, _wrong])
@pytest.mark.parametrize("what", ["status", "dead", "clear"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_timbre_queue_prints_what_can_be_read(damage, what, form, client, redis_url, capfd):
    damage(client)
    assert queue_command.main([what, "--redis", redis_url, *form]) in {0, 1}
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    if form:
        json.loads(out, parse_constant=pytest.fail)
    elif what == "status":
        assert out.count("\n") >= 4
    elif what == "clear":
        assert "dead letters deleted" in out
        assert not client.exists(DEAD_LETTERS)


def test_timbre_keys_and_servers_use_the_keys_that_are_valid(client, redis_url, capfd):
    assert keys_command.main(["create", "me", "--redis", redis_url]) == 0
    ((ident, good),) = client.hgetall(API_KEYS).items()
    _fill(client)
    for value in (
        {**json.loads(good), "rate": math.nan},
        {**json.loads(good), "streams": 0},
        {**json.loads(good), "scopes": [7]},
        {**json.loads(good), "more": 1},
        {},
        [],
        None,
    ):
        client.hset(API_KEYS, f"id{value}"[:100], json.dumps(value))
    client.hset(API_KEYS, "0123456789ab", good)  # under another id than its own
    capfd.readouterr()
    assert keys_command.main(["list", "--redis", redis_url]) == 0
    out, err = capfd.readouterr()
    assert (out.count("\n"), out[:12]) == (1, ident.decode())
    assert "Traceback" not in err
    assert keys_command.main(["revoke", ident.decode(), "--redis", redis_url]) == 0
    client.delete(API_KEYS)
    client.set(API_KEYS, "x")
    assert keys_command.main(["list", "--redis", redis_url]) == 3
    assert "WRONGTYPE" in capfd.readouterr().err


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1e300", "1e300", "", "x", b"\xff"])
@pytest.mark.parametrize("field", ["tokens", "at"])
async def test_an_odd_token_bucket_neither_locks_a_key_out_nor_lifts_its_limit(
    field, value, client, redis_url
):
    key, _ = create_key("me", scopes=("classify",), rate=0.001, streams=1)
    limits = RedisLimits(redis_url)
    try:
        client.hset(RATES + key.id, field, value)
        await limits.count_request(key)
        with pytest.raises(Exception, match="requests per second"):
            await limits.count_request(key)
    finally:
        await limits.close()


async def test_limits_of_a_wrong_type_are_replaced(client, redis_url):
    key, _ = create_key("me", scopes=("classify",), rate=0.001, streams=1)
    limits = RedisLimits(redis_url)
    try:
        for name in (RATES, OPEN_STREAMS):
            client.rpush(name + key.id, "x")
        await limits.count_request(key)
        with pytest.raises(Exception, match="requests per second"):
            await limits.count_request(key)
        async with limits.count_stream(key):
            with pytest.raises(Exception, match="streams"):
                await limits.count_stream(key).__aenter__()
    finally:
        await limits.close()
