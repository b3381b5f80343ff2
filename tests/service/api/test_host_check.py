"""A server without keys answers only to its own names; pages of other sites change nothing."""

import asyncio
import json
import sys

import aiohttp
import pytest
from aiohttp import web

from service.api.authentication import ROUTE_SCOPES
from service.api.context import GATEWAY
from service.api.local_admin import FORWARDING_HEADERS
from service.app import build
from service.settings import Settings
from tests.service.conftest import begin, tone, wav
from tests.service.helpers.problems import is_problem

GET = ("/livez", "/readyz", "/v1/models", "/v1/models/toy", "/v1/nothing", "/")
STREAM = "/v1/models/toy/stream"
CLASSIFY = "/v1/models/toy/classify"
LOAD = "/v1/models/toy/load"
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


async def raw(server, *lines):
    """Send a request as it stands, return its status and its body."""
    port = int(server.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = "\r\n".join([*lines, "Connection: close", "", ""])
    writer.write(text.encode("utf-8", "surrogateescape"))
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("host", ["attacker.example", "localhost.evil", "127.0.0.2", "[::1%lo]"])
async def test_a_foreign_host_is_421_on_every_route(serve, host):
    server = await serve(cors_origins=("http://page.example",))
    port = server.url.rsplit(":", 1)[1]
    headers = {"Host": f"{host}:{port}"}
    page = {**headers, "Origin": f"http://{host}:{port}"}
    preflight = {"Origin": "http://page.example", "Access-Control-Request-Method": "POST"}
    asked = [
        *[("GET", path, headers) for path in GET],
        ("GET", STREAM, {**page, **UPGRADE}),
        ("POST", CLASSIFY, page),
        ("POST", LOAD, headers),
        ("OPTIONS", CLASSIFY, {**headers, **preflight}),
        ("DELETE", "/v1/models", headers),
    ]
    for method, path, sent in asked:
        async with server.http.request(method, server.url + path, headers=sent) as response:
            assert response.status == 421, path
            answer = await response.json()
            assert is_problem(421, answer, response.headers)
        assert answer["type"] == "urn:timbre:problem:misdirected-request"
        assert host in answer["detail"]
        assert "allowed_hosts" in answer["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:1", "localhost.", "[::1]:9", "a.example"])
async def test_own_and_allowed_names_are_answered(serve, host):
    server = await serve(allowed_hosts=("a.example",))
    for path in ("/livez", "/readyz", "/v1/models"):
        assert (await server.get(path, headers={"Host": host}))[0] == 200
    assert (await server.post(CLASSIFY, headers={"Host": host}, data=wav(tone(2))))[0] == 200
    assert (await server.post(LOAD, headers={"Host": host}))[0] == 200


@pytest.mark.parametrize(
    "lines",
    [
        ("GET /livez HTTP/1.0",),
        ("GET /livez HTTP/1.1", "Host:"),
        ("GET http://attacker.example/livez HTTP/1.1", "Host: localhost"),
        ("GET http://localhost@attacker.example/livez HTTP/1.1", "Host: localhost"),
        ("GET http://localhost/livez HTTP/1.1", "Host: attacker.example"),
        ("GET ftp://attacker.example/livez HTTP/1.1", "Host: localhost"),
        ("GET /livez HTTP/1.1", "Host: attacker.example", "X-Forwarded-Host: localhost"),
        ("GET /livez HTTP/1.1", "Host: \udcff"),
        ("CONNECT attacker.example:80 HTTP/1.1", "Host: localhost"),
    ],
)
async def test_every_form_of_a_request_is_checked(serve, lines):
    server = await serve()
    status, body = await raw(server, *lines)
    assert status == 421
    assert "allowed_hosts" in json.loads(body)["detail"] or b"Host header" in body


async def test_two_hosts_are_rejected(serve):
    server = await serve()
    status, _ = await raw(server, "GET /livez HTTP/1.1", "Host: localhost", "Host: evil.example")
    assert status in (400, 421)


async def test_an_absolute_target_of_an_own_name_is_answered(serve):
    server = await serve()
    assert (await raw(server, f"GET {server.url}/livez HTTP/1.1", "Host: localhost"))[0] == 200


@pytest.fixture(params=["keys", "insecure"])
def exposed(request, tmp_path):
    """Settings with which any name is answered."""
    (tmp_path / "keys.json").write_text('{"keys": []}')
    keys = {"keys": str(tmp_path / "keys.json")}
    return keys if request.param == "keys" else {"host": "0.0.0.0", "insecure": True}


async def test_with_keys_or_insecure_any_name_is_answered_unless_some_are_allowed(serve, exposed):
    server = await serve(**exposed)
    assert (await server.get("/livez", headers={"Host": "any.example"}))[0] == 200
    narrow = await serve(**exposed, allowed_hosts=("a.example",))
    for host, status in (("a.example:80", 200), ("b.example", 421)):
        assert (await narrow.get("/livez", headers={"Host": host}))[0] == status


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.3 is an address of every Linux only")
async def test_a_probe_may_name_the_address_it_reaches_and_nothing_else_may(artefacts):
    app = build(
        Settings(artefacts=artefacts, host="0.0.0.0", insecure=True, allowed_hosts=("a.example",))
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.3", 0).start()
    url = f"http://127.0.0.3:{runner.addresses[0][1]}"
    try:
        await app[GATEWAY].opening
        async with aiohttp.ClientSession() as http:
            for path, host, status in (
                ("/livez", "127.0.0.3", 200),
                ("/readyz", "127.0.0.3:80", 200),
                ("/livez", "127.0.0.4", 421),
                ("/livez", "b.example", 421),
                ("/v1/models", "127.0.0.3", 421),
                ("/v1/models", "a.example", 200),
            ):
                async with http.get(url + path, headers={"Host": host}) as response:
                    assert response.status == status, (path, host)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://attacker.example", 403),
        ("http://127.0.0.1:1", 403),
        ("null", 403),
        ("http://[x", 403),
        ("ftp://localhost:{port}", 403),
        ("http://page.example", 200),
        ("http://localhost:{port}", 200),
    ],
)
async def test_without_keys_a_page_of_another_site_posts_nothing(serve, origin, status):
    server = await serve(cors_origins=("http://page.example",))
    headers = {"Origin": origin.format(port=server.url.rsplit(":", 1)[1])}
    assert (await server.post(CLASSIFY, headers=headers, data=wav(tone(2))))[0] == status


async def test_a_stream_of_a_page_by_another_of_the_own_names_opens(serve):
    server = await serve()
    origin = server.url.replace("127.0.0.1", "localhost")
    async with server.stream(headers={"Origin": origin}) as socket:
        assert (await begin(socket))["type"] == "ready"


FOREIGN = [
    *[(name, "x") for name in (*FORWARDING_HEADERS, "Referer")],
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Proto", "https"),
    ("x-forwarded-server", "x"),
    ("X-Original-Host", "x"),
    ("CF-Connecting-IP", "192.0.2.1"),
    ("CF-Ray", "1"),
    ("CDN-Loop", "x"),
    ("Fastly-Client-IP", "192.0.2.1"),
    ("X-Envoy-External-Address", "192.0.2.1"),
    ("X-Amzn-Trace-Id", "x"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
    ("Sec-Fetch-Site", "CROSS-SITE"),
    ("sec-fetch-site", ""),
]


async def test_without_keys_a_sign_of_a_proxy_or_another_site_ends_a_load(serve):
    server = await serve()
    for name, value in FOREIGN:
        status, answer, _ = await server.post(LOAD, headers={name: value})
        assert (status, name.lower() in answer["detail"].lower()) == (403, True), name
        assert (await server.get("/v1/models", headers={name: value}))[0] == 200
    for value in ("none", "same-origin"):
        assert (await server.post(LOAD, headers={"Sec-Fetch-Site": value}))[0] == 200


async def test_without_keys_every_route_that_needs_an_admin_key_is_checked(serve, monkeypatch):
    server = await serve()
    monkeypatch.delitem(ROUTE_SCOPES, "/v1/models")
    assert (await server.get("/v1/models", headers={"Via": "1.1 proxy"}))[0] == 403
    assert (await server.get("/v1/models"))[0] == 200
