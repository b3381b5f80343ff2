"""Errors have one shape on every route; requests have an id and a log line."""

import asyncio
import json

import pytest

from tests.service.conftest import tone, wav
from tests.service.helpers.problems import is_problem

CLASSIFY = "/v1/models/toy/classify"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/models/piano/classify", "toy, toy-net"),
        ("/v1/models/toy/classify?version=7", "1, 2"),
        ("/v1/models/..%2Ftoy/classify", "toy, toy-net"),
        ("/v1/nothing", "path"),
    ],
)
async def test_an_unknown_path_is_404_with_the_known_names(serve, path, named):
    server = await serve()
    status, answer, headers = await server.post(path, data=wav(tone(2)))
    assert status == 404
    assert is_problem(status, answer, headers)
    assert named in answer["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", CLASSIFY), ("DELETE", "/v1/models"), ("POST", "/livez")]
)
async def test_a_wrong_method_is_405_with_the_allowed_ones(serve, method, path):
    server = await serve()
    async with server.http.request(method, server.url + path) as response:
        assert response.status == 405
        assert response.headers["Allow"]
        assert is_problem(405, await response.json(), response.headers)


async def test_a_fault_of_ours_is_500_without_a_traceback(serve, monkeypatch, capsys):
    server = await serve()
    monkeypatch.setattr("service.inference.clips.window_spans", lambda *_, **__: 1 / 0)
    status, answer, headers = await server.post(
        CLASSIFY, data=wav(tone(2)), headers={"X-Request-Id": "abc-7"}
    )
    assert status == 500
    assert is_problem(status, answer, headers)
    assert "ZeroDivision" not in json.dumps(answer)
    assert "abc-7" in answer["detail"]
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("a b", False), ("x" * 200, False)])
async def test_a_request_id_is_in_the_response_and_the_log(serve, capsys, given, kept):
    server = await serve()
    _, _, headers = await server.get("/v1/models", headers={"X-Request-Id": given})
    assert (headers["X-Request-Id"] == given) is kept
    assert f" {headers['X-Request-Id']} GET" in capsys.readouterr().err


async def test_invalid_http_gets_a_response(serve):
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 60)
    writer.transport.abort()
    assert (await server.get("/livez"))[0] == 200
