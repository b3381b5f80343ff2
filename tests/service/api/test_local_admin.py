"""Without keys, the server's own page administrates, and no other page, name or proxy does."""

import pytest

from service.api.local_admin import FORWARDING_HEADERS
from tests.service.api.test_hostile_headers import Wire

ROUTES = [
    ("POST", "/v1/models/toy/load"),
    ("POST", "/v1/models/toy/promote"),
    ("GET", "/v1/trainings"),
    ("POST", "/v1/trainings"),
    ("DELETE", "/v1/trainings/x"),
    ("GET", "/v1/collections"),
    ("POST", "/v1/collections/birds/robin"),
    ("DELETE", "/v1/collections/birds/robin/x"),
]
LOAD = ROUTES[0]
OWN = {"Origin": "http://{name}:{port}", "Sec-Fetch-Site": "same-origin"}


def sent(server, *lines, name="127.0.0.1", **more):
    """Return headers as on the wire; {name} and {port} are those of the server."""
    wire = Wire(server)
    host = more.pop("host", "{name}:{port}")
    pairs = [("Host", host), ("Content-Length", "0"), *lines, *more.items()]
    return wire, [(key, value.format(name=name, port=wire.port)) for key, value in pairs]


async def status(server, *lines, route=LOAD, target="{path}", **more):
    wire, headers = sent(server, *lines, **more)
    return await wire.send(route[0], target.format(path=route[1], port=wire.port), headers)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "localhost."])
async def test_the_servers_own_page_is_accepted_by_each_of_its_names(serve, name):
    server = await serve()
    for extra in ([], [("Referer", "http://{name}:{port}/app/teach?x=1#y")]):
        assert await status(server, *OWN.items(), *extra, name=name) == 200
    # Of a GET, browsers send no Origin.
    referer = ("Referer", "http://{name}:{port}/")
    own_get = [("Sec-Fetch-Site", "same-origin"), referer]
    assert await status(server, *own_get, route=ROUTES[2], name=name) == 404


async def test_every_administrative_route_takes_the_own_page_and_no_other(serve, tmp_path):
    server = await serve(trainings=str(tmp_path / "teach"))
    foreign = {**OWN, "Origin": "http://page.example"}
    for route in ROUTES:
        assert await status(server, *OWN.items(), route=route) not in (401, 403)
        assert await status(server, *foreign.items(), route=route) == 403


ORIGINS = [
    "http://page.example", "http://page.example:{port}", "http://127.0.0.1", "http://127.0.0.1:1",
    "https://127.0.0.1:{port}", "ftp://127.0.0.1:{port}", "http://localhost:{port}", "null", "",
    "http://[::1]:{port}", "http://127.0.0.2:{port}", "http://127.0.0.1.page.example:{port}",
    "http://127.0.0.1:{port}/", "http://127.0.0.1:{port} http://page.example", "*", "\xff",
    "http://127.0.0.1:{port}@page.example", "http://x@127.0.0.1:{port}", "//127.0.0.1:{port}",
    "http://127.0.0.1:0{port}0", "http://2130706433:{port}", "http://0.0.0.0:{port}",
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
async def test_a_page_of_any_other_origin_is_refused_whatever_else_it_says(serve, origin):
    server = await serve(cors_origins=("http://page.example",))
    for site in ("same-origin", "same-site", "none", "cross-site"):
        lines = [("Origin", origin), ("Sec-Fetch-Site", site)]
        assert await status(server, *lines) == 403
        assert await status(server, *lines, route=ROUTES[2]) == 403


REFERERS = [*ORIGINS[:9], "http://127.0.0.1:{port}@page.example/", "about:blank", "/app/teach",
            "http://127.0.0.1:{port}\\@page.example/", "http://page.example/http://127.0.0.1:{port}/",
            "http://page.example?http://127.0.0.1:{port}/"]  # fmt: skip


@pytest.mark.parametrize("referer", REFERERS)
async def test_a_referer_of_another_origin_is_refused_beside_the_own_origin_too(serve, referer):
    server = await serve()
    assert await status(server, *OWN.items(), ("Referer", referer)) == 403
    assert await status(server, ("Sec-Fetch-Site", "same-origin"), ("Referer", referer)) == 403


@pytest.mark.parametrize("site", [[], ["none"], ["same-site"], ["cross-site"], [""],
    ["SAME-ORIGIN"], ["same-origin", "same-origin"], ["same-origin", "cross-site"],
    ["same-origin, cross-site"]])  # fmt: skip
async def test_the_own_origin_without_the_word_of_the_browser_is_refused(serve, site):
    server = await serve()
    lines = [("Origin", OWN["Origin"]), *[("Sec-Fetch-Site", each) for each in site]]
    assert await status(server, *lines) == 403


async def test_two_origins_are_refused_even_if_both_are_the_own(serve):
    server = await serve()
    assert await status(server, *OWN.items(), ("Origin", OWN["Origin"])) == 403
    assert await status(server, *OWN.items(), ("Origin", "http://page.example")) == 403


async def test_the_own_page_through_a_proxy_is_refused(serve):
    server = await serve(allowed_hosts=("timbre.example",))
    for name in (*FORWARDING_HEADERS, "X-Forwarded-For", "CF-Ray", "X-Envoy-Attempt-Count"):
        assert await status(server, *OWN.items(), (name, "x")) == 403, name
    # A proxy on this machine that sends no header of its own: its port or its name tells.
    for host in ("127.0.0.1:1", "127.0.0.1", "timbre.example", "timbre.example:{port}"):
        origin = ("Origin", f"http://{host}")
        assert await status(server, origin, ("Sec-Fetch-Site", "same-origin"), host=host) == 403
    # One that names itself in Host, and the page in Origin.
    page = ("Origin", "http://timbre.example:{port}")
    assert await status(server, page, ("Sec-Fetch-Site", "same-origin")) == 403
    assert await status(server, *OWN.items(), target="http://127.0.0.1:{port}{path}") == 403


async def test_a_rebound_name_is_no_name_of_the_server(serve):
    server = await serve()
    host = "rebound.example:{port}"
    lines = [("Origin", f"http://{host}"), ("Sec-Fetch-Site", "same-origin")]
    assert await status(server, *lines, host=host) == 421


async def test_a_direct_program_is_accepted_as_before(serve):
    server = await serve()
    assert await status(server) == 200
    assert await status(server, ("Sec-Fetch-Site", "none")) == 200
