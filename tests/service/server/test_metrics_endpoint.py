"""GET /metrics on a port of its own, of a gateway and of a worker."""

import asyncio
import json
import re

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.api.metrics import Scraper
from service.auth.key_store import FileKeyStore
from service.cli.worker import main
from service.metrics.metrics import Metrics
from service.queue.redis import RedisQueue
from service.server.heartbeat import HEARTBEAT_TIMEOUT_S, Heartbeat
from service.server.metrics_endpoint import metrics_endpoint
from service.settings import Settings
from tests.helpers.server_process import BIN, free_port
from tests.service.conftest import until
from tests.service.helpers.keys import new_key
from tests.service.queue.test_contract import job
from tests.service.server.test_tls import ours  # noqa: F401 - a fixture


async def get(url, **headers):
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, headers=headers, ssl=False) as response,
    ):
        return response.status, await response.text()


async def test_it_needs_no_key_answers_to_its_own_name_and_has_nothing_else():
    metrics = Metrics()
    metrics.windows.add("toy", by=7)
    settings = Settings(keys="redis", metrics_port=free_port())
    url = f"http://127.0.0.1:{settings.metrics_port}"
    async with metrics_endpoint(settings, Scraper(metrics)):
        status, text = await get(url + "/metrics")
        assert status == 200
        assert 'timbre_windows_total{model="toy"} 7\n' in text
        assert (await get(url + "/metrics", Host="evil.example"))[0] == 421
        assert (await get(url + "/v1/models"))[0] == 404
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(url + "/metrics")


async def test_beyond_loopback_it_asks_for_a_key_of_its_scope_with_tls(tmp_path, ours):  # noqa: F811
    texts = {}
    for scope in ("metrics", "classify"):
        key, texts[scope] = new_key(scope, scopes=(scope,))
        await FileKeyStore(tmp_path / "keys.json").put(key)
    settings = Settings(
        keys=str(tmp_path / "keys.json"),
        metrics_host="0.0.0.0",
        metrics_port=free_port(),
        tls_certificate=str(ours[0]),
        tls_key=str(ours[1]),
    )
    url, heartbeat = f"https://127.0.0.1:{settings.metrics_port}", Heartbeat()
    async with metrics_endpoint(settings, Scraper(Metrics()), heartbeat=heartbeat):
        for text, status in ((texts["metrics"], 200), (texts["classify"], 403), ("no key", 401)):
            found = await get(url + "/metrics", Authorization=f"Bearer {text}")
            assert (found[0], "timbre_windows_total" in found[1]) == (status, status == 200)
        assert (await get(url + "/metrics"))[0] == 401
        assert (await get(url + "/livez"))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            await get(url.replace("https", "http") + "/metrics")


async def test_beyond_loopback_it_asks_for_no_key_if_it_was_allowed_to(tmp_path):
    settings = Settings(
        keys=str(tmp_path), metrics_host="0.0.0.0", metrics_port=free_port(), insecure=True
    )
    async with metrics_endpoint(settings, Scraper(Metrics())):
        assert (await get(f"http://127.0.0.1:{settings.metrics_port}/metrics"))[0] == 200


def test_a_worker_listens_beyond_loopback_with_keys_or_insecure_only(capsys):
    arguments = ["--redis", "redis://127.0.0.1:1", "--set", "metrics_host=0.0.0.0"]
    arguments += ["--metrics-port", "9"]
    assert main(arguments) == 2
    assert re.search("metrics_host=0.0.0.0.*keys=FILE.*insecure", capsys.readouterr().err)
    assert main([*arguments, "--set", "keys=/none.json"]) == 2
    assert "/none.json" in capsys.readouterr().err


async def test_it_may_have_the_number_of_the_gRPC_port_on_another_address():  # noqa: N802
    port = free_port()
    settings = Settings(metrics_host="127.0.0.2", metrics_port=port, grpc_port=port)
    async with metrics_endpoint(settings, Scraper(Metrics())):
        assert (await get(f"http://127.0.0.2:{port}/metrics"))[0] == 200


async def test_its_errors_are_those_of_every_port_and_name_no_versions():
    settings = Settings(metrics_port=free_port())
    async with metrics_endpoint(settings, Scraper(Metrics())):
        for line, status in (
            (b"", 200),
            (b"Expect: \xff\r\n", 417),
            (b"Expect: a-miracle\r\n", 417),
            (b"Host: evil.example\r\n", 421),
        ):
            own = b"" if line.startswith(b"Host") else b"Host: 127.0.0.1\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", settings.metrics_port)
            writer.write(b"GET /metrics HTTP/1.1\r\n" + own + line + b"Connection: close\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.transport.abort()
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"Server: timbre\r\n" in head + b"\r\n"
            assert status == 200 or json.loads(body)["status"] == status


@pytest.mark.parametrize(
    ("age_s", "status"), [(HEARTBEAT_TIMEOUT_S - 1, 200), (HEARTBEAT_TIMEOUT_S + 1, 503)]
)
async def test_a_worker_without_a_heartbeat_for_too_long_is_not_alive(age_s, status):
    settings, heartbeat = Settings(metrics_port=free_port()), Heartbeat()
    heartbeat._last -= age_s
    async with metrics_endpoint(settings, Scraper(Metrics()), heartbeat=heartbeat):
        found, text = await get(f"http://127.0.0.1:{settings.metrics_port}/livez")
        assert found == status
        assert ("alive" in text) == (status == 200)
        heartbeat()
        assert (await get(f"http://127.0.0.1:{settings.metrics_port}/livez"))[0] == 200


async def test_a_gateway_answers_livez_on_its_own_port_only():
    settings = Settings(metrics_port=free_port())
    async with metrics_endpoint(settings, Scraper(Metrics())):
        assert (await get(f"http://127.0.0.1:{settings.metrics_port}/livez"))[0] == 404


async def test_a_port_in_use_is_named(capsys):
    settings, scraper = Settings(metrics_port=free_port()), Scraper(Metrics())
    async with metrics_endpoint(settings, scraper):
        with pytest.raises(OSError, match="in use") as caught:
            async with metrics_endpoint(settings, scraper):
                pass
        assert caught.value.filename == f"127.0.0.1:{settings.metrics_port}"
        arguments = ["--redis", "redis://127.0.0.1:1", "--metrics-port"]
        assert main([*arguments, str(settings.metrics_port)]) == 1
    assert f"cannot listen on 127.0.0.1:{settings.metrics_port}" in capsys.readouterr().err


async def test_without_the_setting_nothing_listens():
    async with metrics_endpoint(Settings(), Scraper(Metrics())):
        pass


async def test_a_worker_tells_what_it_has_run(artefacts, redis_url):
    port = free_port()
    options = ["--redis", redis_url, "--artefacts", artefacts, "--metrics-port", str(port)]
    process = await asyncio.create_subprocess_exec(BIN / "timbre", "worker", *options)
    told = []
    queue = RedisQueue(redis_url, max_jobs=9, workers=told.append)
    try:
        await queue.open()
        await until(lambda: told)
        assert told[-1] == 1
        with pytest.raises(Exception, match="doubler"):
            await queue.submit(job(1))
        _, text = await get(f"http://127.0.0.1:{port}/metrics")
        assert (await get(f"http://127.0.0.1:{port}/livez"))[0] == 200
    finally:
        await queue.close()
        process.terminate()
        await process.wait()
    found = {
        (each.name, *each.labels.values()): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }
    assert found["timbre_batch_size_sum", "doubler"] == 1
    assert found["timbre_model_info", "toy", "2", "CPU"] == 1
