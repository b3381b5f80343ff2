"""From posted clips to a model that the running server serves; the processes are real."""

import shutil

import aiohttp
import pytest

from service.trainings.folder import write_json
from service.trainings.record import ARTEFACTS, EXIT, PROCESS, PROGRESS
from tests.service.conftest import until
from tests.service.helpers.problems import is_problem
from tests.service.helpers.queued import queued
from tests.service.helpers.teaching import LABELS, QUICK, ended, teach
from tests.service.helpers.versions import copied, served

PROMOTE = "/v1/models/toy/promote"


@pytest.mark.slow
async def test_clips_of_three_labels_become_a_model_that_is_served_without_a_restart(
    serve, artefacts, tmp_path
):
    server = await serve(artefacts=copied(artefacts, tmp_path), trainings=str(tmp_path / "teach"))
    await teach(server)
    _, found, _ = await server.get("/v1/collections/pitches")
    assert {label["name"]: label["clips"] for label in found["labels"]} == dict.fromkeys(LABELS, 6)
    settings = {
        "collection.path": "pitches",
        "collection.nothing": 1,
        "forest.trees": 40,
    }
    body = {"recipe": "sounds", "name": "pitches", "settings": QUICK | settings}
    status, begun, headers = await server.post("/v1/trainings", json=body)
    assert (status, begun["state"] in ("queued", "running")) == (202, True), begun
    assert headers["Location"] == f"/v1/trainings/{begun['id']}"
    found = await ended(server, begun["id"])
    assert (found["state"], found["progress"]) == ("done", 1.0), found
    result = found["result"]
    assert (result["name"], result["version"]) == ("pitches", "1")
    assert result["labels"] == ["buzz", "high", "low"]
    assert result["scores"]["macro_f1"] > 0.5
    assert 0 < result["baseline"]["accuracy_all_negative"] < 1
    async with server.http.get(server.url + result["report"]) as response:
        assert response.status == 200
        assert response.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert "pitches, version 1" in await response.text()
    await promotes_and_goes_back(server, begun["id"])


async def promotes_and_goes_back(server, id_):
    assert (await server.get("/v1/models/pitches"))[0] == 404
    path = "/v1/models/pitches/promote"
    status, answer, _ = await server.post(path, json={"training": id_})
    assert status == 200, answer
    assert (answer["name"], answer["version"], answer["previous"]) == ("pitches", "1", None)
    assert answer["measured"]["quiet"] >= 0.99
    _, heard, _ = await server.post("/v1/models/pitches/classify", data=LABELS["low"](9))
    assert (heard["version"], heard["labels"]) == ("1", ["low"])
    status, answer, _ = await server.post(path, json={"training": id_})
    assert (status, answer["version"], answer["previous"]) == (200, "2", "1")
    status, answer, _ = await server.post(path, json={"version": "1"})
    assert (status, answer["version"], answer["previous"]) == (200, "1", "2")
    await until(lambda: server.gateway.registry.find("pitches").version == "1")


async def test_without_the_setting_every_route_says_that_it_is_off(serve):
    server = await serve()
    for method, path in (
        ("POST", "/v1/trainings"),
        ("GET", "/v1/trainings"),
        ("GET", "/v1/trainings/x"),
        ("DELETE", "/v1/trainings/x"),
        ("GET", "/v1/trainings/x/report"),
        ("GET", "/v1/collections"),
        ("GET", "/v1/collections/x"),
        ("POST", "/v1/collections/x/y"),
        ("GET", "/v1/collections/x/y/z"),
        ("DELETE", "/v1/collections/x/y/z"),
    ):
        async with server.http.request(method, server.url + path) as response:
            answer = await response.json()
        assert (response.status, "--trainings DIR" in answer["detail"]) == (404, True), path


async def test_pages_and_proxies_reach_none_of_it_without_keys(serve, tmp_path):
    server = await serve(trainings=str(tmp_path / "teach"))
    async with aiohttp.ClientSession() as http:
        for path in ("/v1/trainings", "/v1/collections"):
            for headers in ({"Origin": "https://evil.example"}, {"X-Forwarded-For": "1.2.3.4"}):
                async with http.get(server.url + path, headers=headers) as response:
                    assert response.status == 403


@pytest.fixture
async def taught(serve, artefacts, tmp_path):
    """A server, and a training that is done and has made the artefact `toy` 1."""
    folder = tmp_path / "teach"
    server = await serve(artefacts=copied(artefacts, tmp_path), trainings=str(folder))
    path = queued(folder.resolve(), "")
    write_json(path / PROCESS, {"pid": 1, "identity": "ended", "begun": "B"})
    write_json(path / EXIT, {"code": 0, "why": "", "ended": "E"})
    (path / PROGRESS).write_text('{"artefact": "toy/1"}\n')
    shutil.copytree(artefacts / "toy" / "1", path / ARTEFACTS / "toy" / "1")
    return server, path


async def test_what_does_not_pass_the_checks_is_refused_in_their_words(taught):
    server, path = taught
    _, answer, headers = await server.post(PROMOTE, json={"training": path.name})
    assert is_problem(409, answer, headers)
    assert "toy 1 is not promoted: it labels noise or silence" in answer["detail"]
    assert served(server) == "2"
    assert sorted(each.name for each in (server.gateway.settings.artefacts / "toy").iterdir()) == [
        "1",
        "2",
    ]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "empty"),
        (b"{}", 422, "the body must be like"),
        (b'{"training": 1}', 422, "of type str"),
        (b'{"version": "1", "force": true}', 422, "unknown field force"),
        (b'{"training": "../x"}', 404, "no training '../x'"),
        (b'{"training": "20261130-120000-123-0a1b2c3d"}', 404, "no training"),
        (b'{"training": "ID", "version": "7"}', 404, "has made toy 1, not 'toy 7'"),
        (b'{"version": "../x"}', 404, "no version"),
        (b'{"version": "9"}', 404, "no version '9' of 'toy'"),
    ],
)
async def test_what_is_not_there_is_named(taught, body, status, said):
    server, path = taught
    body = body.replace(b"ID", path.name.encode())
    _, answer, headers = await server.post(PROMOTE, data=body)
    assert is_problem(status, answer, headers), answer
    assert said in answer["detail"]
    assert served(server) == "2"


async def test_another_name_and_an_unfinished_training_are_refused(taught):
    server, path = taught
    body = {"training": path.name}
    _, answer, headers = await server.post("/v1/models/toy-net/promote", json=body)
    assert is_problem(404, answer, headers)
    assert "has made toy 1, not 'toy-net'" in answer["detail"]
    (path / EXIT).unlink()
    write_json(path / EXIT, {"code": 1, "why": "", "ended": "E"})
    _, answer, headers = await server.post(PROMOTE, json=body)
    assert is_problem(409, answer, headers)
    assert "is failed, not done" in answer["detail"]


async def test_going_back_to_an_earlier_version_needs_no_training(serve, artefacts, tmp_path):
    server = await serve(artefacts=copied(artefacts, tmp_path))
    status, answer, _ = await server.post(PROMOTE, json={"version": "1"})
    assert (status, answer["version"], answer["previous"]) == (200, "1", "2")
    assert served(server) == "1"
    _, answer, headers = await server.post(PROMOTE, json={"training": "x"})
    assert is_problem(404, answer, headers)
    assert "--trainings DIR" in answer["detail"]


async def test_a_model_that_the_server_may_not_serve_is_not_promoted(taught, serve, tmp_path):
    _, path = taught
    server = await serve(
        artefacts=tmp_path / "artefacts", trainings=str(path.parent), models=("toy-net",)
    )
    _, answer, headers = await server.post(PROMOTE, json={"training": path.name})
    assert is_problem(404, answer, headers)
    assert "see the setting models" in answer["detail"]
