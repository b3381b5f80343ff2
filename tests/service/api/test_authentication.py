"""Authentication: missing, wrong and revoked keys, scopes, rate limits, no secrets in logs."""

import asyncio
import json
from dataclasses import replace

import aiohttp
import pytest

from common.errors import NotAllowed, Unauthorised
from service.api.authentication import ROUTE_SCOPES
from service.auth.key_store import FileKeyStore
from service.auth.keys import create_key, now
from service.client import Client
from tests.service.conftest import begin, noise, pcm, rest_of, tone, until, wav

CLASSIFY = "/v1/models/toy/classify"


@pytest.fixture
async def keys(tmp_path):
    """A key file, and a function that adds a key to it."""
    store = FileKeyStore(tmp_path / "keys.json")
    store.path = tmp_path / "keys.json"

    async def add(*scopes, rate=1_000.0, streams=10):
        key, text = create_key(
            "someone", scopes=scopes or ("classify", "stream"), rate=rate, streams=streams
        )
        await store.put(key)
        return key, text

    store.add = add
    return store


@pytest.fixture
def guarded(serve, keys):
    """Starts servers with the keys."""
    return lambda **settings: serve(keys=str(keys.path), **settings)


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


async def test_without_a_key_only_the_monitoring_routes_answer(guarded, keys):
    _, text = await keys.add()
    server = await guarded()
    for path in ("/livez", "/readyz"):
        assert (await server.get(path))[0] == 200
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    for headers in (
        {},
        bearer(wrong),
        bearer(""),
        bearer("x"),
        {"Authorization": f"Basic {text}"},
        {"X-Key": text},
    ):
        for path in (
            "/v1/models",
            "/v1/models/toy",
            "/v1/models/toy/stream",
            "/v1/nothing",
            "/metrics",
        ):
            status, answer, told = await server.get(path, headers=headers)
            assert (status, answer["type"]) == (401, "urn:timbre:problem:unauthorised"), path
            assert told["WWW-Authenticate"].startswith("Bearer")
        assert (await server.post(CLASSIFY, headers=headers, data=wav(tone(2))))[0] == 401


async def test_a_valid_key_allows_the_routes_of_its_scopes(guarded, keys):
    _, clips = await keys.add("classify")
    _, live = await keys.add("stream")
    server = await guarded()
    for text, expected in ((clips, 200), (live, 403)):
        assert (await server.get("/v1/models", headers=bearer(text)))[0] == 200
        status, answer, _ = await server.post(CLASSIFY, headers=bearer(text), data=wav(tone(2)))
        assert status == expected
        if status == 403:
            assert "classify" in answer["detail"]
    async with server.stream(headers=bearer(live)) as socket:
        assert (await begin(socket))["type"] == "ready"
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.stream(headers=bearer(clips))
    assert caught.value.status == 403


async def test_unlisted_routes_need_an_admin_key(guarded, keys, monkeypatch):
    monkeypatch.delitem(ROUTE_SCOPES, "/v1/models")
    (_, anyone), (_, admin) = await keys.add(), await keys.add("admin")
    server = await guarded()
    assert (await server.get("/v1/models", headers=bearer(anyone)))[0] == 403
    assert (await server.get("/v1/models", headers=bearer(admin)))[0] == 200


async def test_a_page_offers_its_key_as_a_subprotocol(guarded, keys):
    _, text = await keys.add()
    server = await guarded()
    async with server.stream(protocols=("timbre", f"timbre.key.{text}")) as socket:
        assert socket.protocol == "timbre"
        assert (await begin(socket))["type"] == "ready"
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.stream(protocols=("timbre", f"timbre.key.{text[:-2]}"))
    assert caught.value.status == 401


async def test_too_many_requests_get_429_with_retry_after(guarded, keys):
    _, slow = await keys.add(rate=0.001)
    _, other = await keys.add()
    server = await guarded()
    assert (await server.get("/v1/models", headers=bearer(slow)))[0] == 200
    status, answer, headers = await server.get("/v1/models", headers=bearer(slow))
    assert (status, answer["type"]) == (429, "urn:timbre:problem:too-many-requests")
    assert 900 < int(headers["Retry-After"]) <= 1_000
    assert (await server.get("/v1/models", headers=bearer(other)))[0] == 200


async def test_streams_of_one_key_are_counted_and_released(guarded, keys):
    _, text = await keys.add(streams=1)
    _, other = await keys.add(streams=1)
    server = await guarded()
    async with server.stream(headers=bearer(text)) as first:
        await begin(first)
        async with server.stream(headers=bearer(text)) as second:
            *messages, code = await rest_of(second)
        assert (messages[-1]["code"], code) == ("too-many-requests", 1013)
        async with server.stream(headers=bearer(other)) as third:
            assert (await begin(third))["type"] == "ready"
    await until(lambda: not server.gateway.streams)
    async with server.stream(headers=bearer(text)) as again:
        assert (await begin(again))["type"] == "ready"


async def test_revoking_ends_requests_and_open_streams_but_loses_no_window(
    guarded, keys, monkeypatch
):
    key, text = await keys.add()
    _, other = await keys.add()
    server = await guarded()
    async with (
        server.stream(headers=bearer(text)) as socket,
        server.stream(headers=bearer(other)) as untouched,
    ):
        await begin(socket)
        await begin(untouched)
        await socket.send_bytes(pcm(noise(2.5)))
        assert (await socket.receive_json())["type"] == "window"
        await keys.put(replace(key, revoked=now()))
        *messages, code = await rest_of(socket)
        assert (messages[-1]["type"], messages[-1]["reason"], code) == (
            "end",
            "server leaves",
            1001,
        )
        assert (await server.get("/v1/models", headers=bearer(text)))[0] == 401
        await untouched.send_json({"type": "end"})
        assert (await rest_of(untouched))[-2]["reason"] == "client ended"


async def test_a_key_added_while_the_server_runs_is_good(guarded, keys):
    await keys.add()
    server = await guarded()
    _, text = await keys.add()
    async with asyncio.timeout(60):
        while (await server.get("/v1/models", headers=bearer(text)))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_keys_may_be_kept_in_redis(serve, redis_url):
    from service.auth.key_store import RedisKeyStore

    server = await serve(keys="redis", redis=redis_url, ready=False)
    store = RedisKeyStore(redis_url)
    key, text = create_key("x", scopes=("classify",), rate=10.0, streams=1)
    await store.put(key)
    # Known, but there is no worker.
    assert (await server.get("/v1/models", headers=bearer(text)))[0] != 401
    assert (await server.get("/v1/models", headers=bearer(text[:-2])))[0] == 401
    await store.close()


@pytest.mark.parametrize("query", ["{}", "x={}", "token=hello", "api_key=1", "timbre%5F{rest}"])
async def test_a_key_in_the_url_is_rejected_even_with_a_valid_header(guarded, keys, query, capsys):
    _, text = await keys.add()
    server = await guarded()
    query = query.format(text, rest=text.removeprefix("timbre_"))
    status, answer, _ = await server.get(f"/v1/models?{query}", headers=bearer(text))
    assert (status, answer["type"]) == (400, "urn:timbre:problem:bad-input")
    assert text not in json.dumps(answer)
    assert text not in capsys.readouterr().err


async def test_secrets_are_in_no_log_and_no_response(guarded, keys, capfd):
    key, text = await keys.add()
    secret = text.removeprefix(f"timbre_{key.id}_")
    server = await guarded()
    answers = [
        await server.get("/v1/models", headers={**bearer(text), "X-Request-Id": text}),
        await server.get(f"/v1/models/{text}", headers=bearer(text)),
        await server.post(f"{CLASSIFY}?version={text}", headers=bearer(text), data=wav(tone(2))),
        await server.post(f"/{text}", headers=bearer(text)),
    ]
    async with server.stream(headers=bearer(text)) as socket:
        await socket.send_str(json.dumps({"type": text}))
        answers.append(await rest_of(socket))
    log = capfd.readouterr().err
    assert f"key={key.id}" in log
    assert secret not in log
    assert secret not in json.dumps([answer[1] for answer in answers[1:4]])


async def test_the_client_sends_its_key_and_raises_what_is_wrong(guarded, keys):
    _, text = await keys.add("classify")
    server = await guarded()
    assert (await Client(server.url, text).classify(wav(tone(2)), "toy"))["labels"] == ["tone"]
    with pytest.raises(Unauthorised, match="key"):
        await Client(server.url).describe("toy")
    with pytest.raises(NotAllowed, match="scope 'stream'"):
        async with Client(server.url, text).stream("toy", sample_rate=16_000):
            pass
