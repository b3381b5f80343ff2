"""Limits shared by gateways through Redis: crashes of gateways, Redis unavailable."""

import asyncio
import contextlib
import signal

import pytest

from common.errors import TooMany
from service.auth import redis_limits
from service.auth.key_store import FileKeyStore
from service.auth.keys import create_key
from service.auth.redis_limits import RedisLimits
from service.queue.redis_keys import OPEN_STREAMS, RATES
from tests.service.conftest import begin, noise, pcm, rest_of, until
from tests.service.helpers.keys import key, opened
from tests.service.helpers.redis_server import start_redis


@pytest.fixture
async def gateways(redis_url):
    """Two gateways' counts."""
    made = [RedisLimits(redis_url) for _ in range(2)]
    yield made
    for each in made:
        await each.close()


async def test_requests_are_counted_by_all_gateways_together_and_by_key(gateways, redis_server):
    mine, other = key(rate=0.001), key(rate=0.001)
    await gateways[0].count_request(mine)
    for gateway in gateways:
        with pytest.raises(TooMany, match=r"0\.001 requests per second") as caught:
            await gateway.count_request(mine)
        assert 900 < caught.value.retry_after <= 1_000
    await gateways[0].count_request(other)
    redis_server.client.hincrbyfloat(RATES + mine.id, "at", -1_000)  # as long ago
    await gateways[1].count_request(mine)
    with pytest.raises(TooMany):
        await gateways[0].count_request(mine)


async def test_a_full_bucket_holds_the_requests_of_a_second(gateways):
    mine = key(rate=4.0)
    for n in range(4):
        await gateways[n % 2].count_request(mine)


async def test_a_slow_bucket_reports_the_wait_and_expires_when_full(gateways, redis_server):
    mine = key(rate=0.001)
    await gateways[0].count_request(mine)
    with pytest.raises(TooMany) as caught:
        await gateways[1].count_request(mine)
    assert 900 < caught.value.retry_after <= 1_000
    assert 900 < redis_server.client.ttl(RATES + mine.id) <= 1_001


async def test_streams_are_counted_by_all_gateways_together_and_released(gateways, redis_server):
    mine = key(streams=2)
    one, two = await opened(gateways[0], mine), await opened(gateways[1], mine)
    for gateway in gateways:
        with pytest.raises(TooMany, match="2 of 2 streams are open with this key"):
            await opened(gateway, mine)
    await one.aclose()
    three = await opened(gateways[1], mine)
    await two.aclose()
    await three.aclose()
    assert redis_server.client.exists(OPEN_STREAMS + mine.id) == 0


async def test_streams_of_a_dead_gateway_are_released_and_those_of_a_live_one_are_not(
    gateways, redis_server, monkeypatch
):
    monkeypatch.setattr(redis_limits, "LEASE_S", 600)
    monkeypatch.setattr(redis_limits, "RENEW_S", 0.05)
    mine, client = key(streams=2), redis_server.client
    living, dead = gateways
    renewing = asyncio.create_task(living.renew())
    held, _ = await opened(living, mine), await opened(dead, mine)
    with pytest.raises(TooMany):
        await opened(living, mine)
    past = client.time()[0] - 1
    client.zadd(
        OPEN_STREAMS + mine.id, dict.fromkeys(client.zrange(OPEN_STREAMS + mine.id, 0, -1), past)
    )
    await until(lambda: client.zcount(OPEN_STREAMS + mine.id, past + 1, "+inf") == 1)
    again = await opened(living, mine)
    with pytest.raises(TooMany):
        await opened(dead, mine)
    renewing.cancel()
    await held.aclose()
    await again.aclose()


async def test_a_clock_set_back_rejects_no_request(gateways, redis_server):
    mine = key(rate=1.0, streams=1)
    ahead = redis_server.client.time()[0] + 3_600
    redis_server.client.hset(RATES + mine.id, mapping={"tokens": 0, "at": ahead})
    redis_server.client.zadd(OPEN_STREAMS + mine.id, {"before": ahead})
    await (await opened(gateways[0], mine)).aclose()
    with pytest.raises(TooMany):
        await gateways[0].count_request(mine)
    await asyncio.sleep(1.05)
    await gateways[0].count_request(mine)


async def test_without_redis_no_request_waits_or_is_rejected(tmp_path_factory, capfd, monkeypatch):
    monkeypatch.setattr(redis_limits, "LOCAL_FALLBACK_S", 600)
    redis = start_redis(tmp_path_factory)
    alone = RedisLimits(redis.url)
    mine = key(rate=0.001, streams=1)
    try:
        await alone.count_request(mine)
        redis.signal(signal.SIGSTOP)
        monkeypatch.setattr(redis_limits, "REPLY_S", 0.1)
        for _ in range(5):
            await alone.count_request(mine)
            await (await opened(alone, mine)).aclose()
        assert capfd.readouterr().err.count("counted by each gateway alone") == 1
        redis.signal(signal.SIGCONT)
        monkeypatch.setattr(redis_limits, "REPLY_S", 60)
        alone._local_until = 0.0
        with contextlib.suppress(TooMany):
            await alone.count_request(mine)
        with pytest.raises(TooMany):
            await alone.count_request(mine)
        assert capfd.readouterr().err.count("counted together again") == 1
    finally:
        redis.end()
        await alone.close()


@pytest.mark.usefixtures("no_version_is_waited_for")
async def test_a_server_counts_alone_while_redis_is_down(serve, tmp_path, redis_url):
    kept, text = create_key("someone", scopes=("classify", "stream"), rate=1_000.0, streams=1)
    store = FileKeyStore(tmp_path / "keys.json")
    await store.put(kept)
    settings = {"keys": str(tmp_path / "keys.json"), "redis": redis_url, "ready": False}
    one, other = await serve(**settings), await serve(**settings)
    bearer = {"Authorization": f"Bearer {text}"}
    from service.queue.redis_consumer import RedisConsumer
    from service.server.worker import Worker

    worker = Worker(
        RedisConsumer(redis_url, name="w"),
        one.gateway.registry.find,
        max_batch=8,
        heartbeat=lambda: None,
    )
    working = asyncio.create_task(worker.run())
    await asyncio.gather(one.gateway.opening, other.gateway.opening)
    async with one.stream(headers=bearer) as first:
        assert (await begin(first))["type"] == "ready"
        async with other.stream(headers=bearer) as second:
            *messages, code = await rest_of(second)
        assert (messages[-1]["code"], code) == ("too-many-requests", 1013)
        await first.send_bytes(pcm(noise(2)))
        await first.send_json({"type": "end"})
        assert (await rest_of(first))[-2]["windows"] == 1
    await until(lambda: not one.gateway.streams)
    async with other.stream(headers=bearer) as again:
        assert (await begin(again))["type"] == "ready"
    worker.shut_down()
    await working
