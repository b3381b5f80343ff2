"""Pages of other origins: nothing unless named, preflights, and what their scripts may read."""

import aiohttp
import pytest

from tests.service.conftest import tone, wav

PAGE = "https://page.example"
CLASSIFY = "/v1/models/toy/classify"


async def preflight(server, path=CLASSIFY, origin=PAGE):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with server.http.options(server.url + path, headers=headers) as response:
        return response.status, response.headers


async def test_it_is_off_unless_asked_for(serve):
    server = await serve()
    status, headers = await preflight(server)
    assert status == 405
    assert "Access-Control-Allow-Origin" not in headers
    _, _, headers = await server.get("/v1/models", headers={"Origin": PAGE})
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("allowed", [(PAGE,), ("*",)])
async def test_an_allowed_origin_may_request_and_read(serve, allowed):
    server = await serve(cors_origins=allowed)
    status, headers = await preflight(server)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    for path, expected in ((CLASSIFY, 200), ("/v1/models/piano/classify", 404)):
        status, _, headers = await server.post(path, data=wav(tone(2)), headers={"Origin": PAGE})
        assert (status, headers["Access-Control-Allow-Origin"]) == (expected, PAGE)
        assert headers["Vary"] == "Origin"
        assert "Retry-After" in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://page.example.evil.example"]
)
async def test_other_origins_are_not_allowed(serve, origin):
    server = await serve(cors_origins=(PAGE,))
    status, headers = await preflight(server, origin=origin)
    assert status == 405
    _, _, told = await server.get("/v1/models", headers={"Origin": origin})
    for each in (headers, told):
        assert "Access-Control-Allow-Origin" not in each
        assert each["Vary"] == "Origin"


async def test_a_preflight_needs_no_key_and_the_request_does(serve, tmp_path):
    (tmp_path / "keys.json").write_text('{"keys": []}')
    server = await serve(cors_origins=(PAGE,), keys=str(tmp_path / "keys.json"))
    assert (await preflight(server))[0] == 204
    status, _, headers = await server.get("/v1/models", headers={"Origin": PAGE})
    assert (status, headers["Access-Control-Allow-Origin"]) == (401, PAGE)


async def test_it_opens_no_streams_and_no_other_routes(serve):
    server = await serve(cors_origins=(PAGE,))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.stream(headers={"Origin": PAGE})
    assert caught.value.status == 403
    _, _, headers = await server.get("/livez", headers={"Origin": PAGE})
    assert "Access-Control-Allow-Origin" not in headers
