"""GET /metrics: what a known load counts, who may read it, and how often."""

import asyncio

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from common.errors import Busy
from service.api import metrics as scraping
from service.api.metrics import Scraper
from service.auth.key_store import FileKeyStore
from service.metrics.exposition import OPEN_METRICS, TEXT
from service.metrics.metrics import Metrics
from tests.service.conftest import RATE, begin, noise, pcm, rest_of, tone, wav
from tests.service.helpers.keys import new_key

COMPLETE = {"on_overload": "complete", "hop": 1}


async def scraped(server, **headers):
    async with server.http.get(server.url + "/metrics", headers=headers) as response:
        assert response.status == 200
        return await response.text(), response.headers["Content-Type"]


async def samples(server, **headers):
    text, _ = await scraped(server, Accept="application/openmetrics-text", **headers)
    return {
        (each.name.removeprefix("timbre_"), *each.labels.values()): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


async def test_a_known_load_is_counted_to_the_last_one(serve):
    server = await serve()
    route = "/v1/models/{name}/classify"
    for _ in range(3):
        await server.post("/v1/models/toy/classify", data=wav(noise(4)))
    await server.post("/v1/models/toy/classify", data=b"no sound")
    await server.post("/v1/models/unknown/classify", data=b"")
    await server.get("/nothing/here")
    async with server.stream() as socket:
        hop = round((await begin(socket, numbered=True, events=True, **COMPLETE))["hop"] * RATE)
        end, later = 2 * RATE + hop, 5 * hop
        first = np.uint64(0).tobytes() + pcm(tone(10)[:end])
        second = np.uint64(later).tobytes() + pcm(np.zeros(2 * RATE + 11, np.float32))
        for message in (first, second):
            await socket.send_bytes(message)
        assert (await samples(server))["streams", "toy"] == 1
        await socket.send_json({"type": "end"})
        *messages, _ = await rest_of(socket)
    found = await samples(server)
    assert [each["type"] for each in messages].count("window") == 3
    assert found["requests_total", route, "toy", "200"] == 3
    assert found["requests_total", route, "toy", "415"] == 1
    assert found["requests_total", route, "", "404"] == 1
    assert found["requests_total", "none", "", "404"] == 1
    assert found["requests_total", "/v1/models/{name}/stream", "toy", "101"] == 1
    assert found["request_seconds_count", route] == 5
    assert found["request_seconds_count", "/v1/models/{name}/stream"] == 1
    assert found["windows_total", "toy"] == found["batch_size_sum", "toy"] == 6 + 3
    assert found["window_age_seconds_count", "toy", "total"] == 3
    assert found["dropped_windows_total", "toy", "gap"] == 1
    assert found["dropped_windows_total", "toy", "late"] == 0
    assert found["streams", "toy"] == found["queue_jobs", "toy", "live"] == 0
    assert found["queue_oldest_seconds", "toy", "live"] == 0
    assert found["model_info", "toy", "2", "CPU"] == 1
    onsets = sum(each.get("state") == "onset" for each in messages)
    assert sum(found[name] for name in found if name[0] == "events_total") == onsets > 0
    covered = {name[1]: found[name] * RATE for name in found if name[0].startswith("coverage")}
    assert covered == pytest.approx(
        {"heard": end, "silent": 2 * RATE, "missing": later - end, "unanswered": 11, "dropped": 0}
    )


async def test_the_format_is_the_one_that_the_client_accepts(serve):
    server = await serve()
    text, kind = await scraped(server)
    assert kind == TEXT
    assert "# TYPE timbre_requests_total counter" in text
    text, kind = await scraped(server, Accept="application/openmetrics-text;version=1.0.0")
    assert kind == OPEN_METRICS
    assert text.endswith("# EOF\n")


async def test_a_request_whose_client_left_is_counted(serve):
    server = await serve()

    async def never():
        yield b"RIFF"
        await asyncio.Event().wait()

    posting = asyncio.create_task(server.post("/v1/models/toy/classify", data=never()))
    while server.gateway.requests != 1:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.005)
    posting.cancel()
    while server.gateway.requests:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.005)
    found = await samples(server)
    assert found["requests_total", "/v1/models/{name}/classify", "toy", "499"] == 1


async def test_with_keys_the_scope_metrics_is_needed(serve, tmp_path):
    store, bearer = FileKeyStore(tmp_path / "keys.json"), {}
    for scope in ("metrics", "classify"):
        key, text = new_key(scopes=(scope,), rate=1_000.0)
        await store.put(key)
        bearer[scope] = f"Bearer {text}"
    server = await serve(keys=str(tmp_path / "keys.json"))
    assert (await server.get("/metrics"))[0] == 401
    status, body, _ = await server.get("/metrics", headers={"Authorization": bearer["classify"]})
    assert status == 403
    assert "'metrics'" in body["detail"]
    assert await samples(server, Authorization=bearer["metrics"])


async def test_without_keys_it_is_open_to_local_programs_by_the_servers_own_name(serve):
    server = await serve()
    assert await samples(server)
    status, _, _ = await server.get("/metrics", headers={"Host": "evil.example"})
    assert status == 421


class Clock:
    """Readings of which the test says when they end."""

    def __init__(self, monkeypatch):
        self.readings = 0
        monkeypatch.setattr(scraping, "PAUSES", 0)
        self.scraper = Scraper(Metrics())
        monkeypatch.setattr(self.scraper, "_format", self._format)

    def _format(self, kind):
        self.readings += 1
        return kind


async def test_scrapes_that_wait_at_one_time_share_one_reading(monkeypatch):
    clock = Clock(monkeypatch)
    async with asyncio.timeout(60):
        kinds = await asyncio.gather(*(clock.scraper.text(TEXT) for _ in range(50)))
    assert kinds == [TEXT] * 50
    assert clock.readings == 1
    await clock.scraper.text(TEXT)
    assert clock.readings == 2


async def test_a_scrape_whose_client_leaves_ends_no_other(monkeypatch):
    clock = Clock(monkeypatch)
    leaving, staying = (asyncio.create_task(clock.scraper.text(TEXT)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await asyncio.wait_for(staying, 60) == TEXT


async def test_past_the_bound_a_scrape_is_rejected(monkeypatch):
    monkeypatch.setattr(scraping, "MAX_WAITING", 3)
    clock = Clock(monkeypatch)
    waiting = [asyncio.create_task(clock.scraper.text(TEXT)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="3 scrapes wait already"):
        await clock.scraper.text(TEXT)
    await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert await clock.scraper.text(TEXT) == TEXT
