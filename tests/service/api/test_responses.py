"""JSON responses are strict, whatever a handler returns."""

import json

import pytest
from aiohttp import web

from service.api.responses import json_response
from tests.service.helpers.problems import is_problem


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_response_never_holds_nan(value):
    with pytest.raises(ValueError, match="Out of range float values"):
        json_response({"score": value})


def test_status_headers_and_body_are_those_given():
    response = json_response({"a": 1}, status=418, headers={"X-A": "b"})
    assert (response.status, response.headers["X-A"]) == (418, "b")
    assert json.loads(response.text) == {"a": 1}
    assert isinstance(response, web.Response)


async def test_a_description_that_cannot_be_written_is_a_problem_document(serve, monkeypatch):
    server = await serve()
    monkeypatch.setattr(
        type(server.gateway.registry), "describe", lambda *_: {"metrics": float("nan")}
    )
    status, answer, headers = await server.get("/v1/models/toy")
    assert status == 500
    assert is_problem(status, answer, headers)
