"""The Open Inference Protocol over HTTP: every route, JSON and bytes, and whatever is wrong."""

import asyncio
import gzip
import json
import zlib

import numpy as np
import pytest

from service.api.authentication import ROUTE_SCOPES
from service.api.open_inference import HEADER, SMALL_JSON, SMALL_SCORES
from service.auth.key_store import FileKeyStore
from service.auth.keys import create_key
from service.open_inference.json_tensors import MAX_DOCUMENT
from tests.service.conftest import begin, pcm, tone, until
from tests.service.helpers.problems import is_problem
from tests.service.helpers.valve import Valve
from tests.service.helpers.versions import copied, put

INFER = "/v2/models/toy/infer"
ROWS = np.linspace(-2, 2, 3 * 26, dtype=np.float32).reshape(3, 26)
PACK = {"gzip": gzip.compress, "deflate": zlib.compress}


def tensor(rows=ROWS, **changes):
    return {"name": "features", "datatype": "FP32", "shape": list(rows.shape), **changes}


def as_json(rows=ROWS, *, nested=False, **fields):
    """The body of a request with its numbers in JSON."""
    data = rows.tolist() if nested else rows.ravel().tolist()
    return json.dumps({"inputs": [tensor(rows, data=data)], **fields}).encode()


def as_bytes(rows=ROWS, **fields):
    """Body and headers of a request with its numbers as bytes."""
    raw = rows.tobytes()
    sent = tensor(rows, parameters={"binary_data_size": len(raw)})
    text = json.dumps({"inputs": [sent], **fields}).encode()
    return {"data": text + raw, "headers": {HEADER: str(len(text))}}


async def post(server, path=INFER, **options):
    """Status, JSON, the bytes behind it, and headers of a response."""
    async with server.http.post(server.url + path, **options) as response:
        body = await response.read()
        size = int(response.headers.get(HEADER, len(body)))
        return response.status, json.loads(body[:size] or "{}"), body[size:], response.headers


def is_error(status, answer, headers):
    answer = dict(answer)
    return answer.pop("error") == answer["detail"] and is_problem(status, answer, headers)


@pytest.fixture
async def server(serve):
    return await serve()


@pytest.fixture
def expected(server):
    """The scores of the rows."""
    model = server.gateway.models[0]
    return np.concatenate([model.predict(row[None]) for row in ROWS])


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
async def test_scores_are_the_same_to_the_last_bit_in_every_form(server, expected, encoding):
    binary = as_bytes(parameters={"binary_data_output": True}, id="a")
    forms = [
        {"data": as_json(id="a")},
        {"data": as_json(id="a", nested=True)},
        {"data": as_json(id="a", parameters={"binary_data_output": True})},
        {
            "data": as_json(
                id="a", outputs=[{"name": "scores", "parameters": {"binary_data": True}}]
            )
        },
        as_bytes(id="a"),
        binary,
        as_bytes(
            id="a",
            outputs=[{"name": "scores", "parameters": {"binary_data": False}}],
            parameters={"binary_data_output": True},
        ),
    ]
    for at, form in enumerate(forms):
        if encoding:
            headers = {**form.get("headers", {}), "Content-Encoding": encoding}
            packed = {"data": PACK[encoding](form["data"]), "headers": headers}
        status, answer, raw, headers = await post(server, **(packed if encoding else form))
        assert status == 200, answer
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("toy", "2", "a")
        (output,) = answer["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("scores", "FP32", [3, 2])
        if at in (2, 3, 5):
            assert headers["Content-Type"] == "application/octet-stream"
            assert output["parameters"]["binary_data_size"] == len(raw) == 24
            found = np.frombuffer(raw, "<f4")
            assert "data" not in output
        else:
            assert headers["Content-Type"].startswith("application/json")
            assert HEADER not in headers
            found = np.array(output["data"], np.float32)
        assert np.array_equal(found, expected.ravel())


async def test_a_body_of_one_tensor_needs_no_json(server, expected):
    status, answer, raw, _ = await post(server, data=ROWS.tobytes(), headers={HEADER: "0"})
    assert (status, "id" in answer) == (200, False)
    assert np.array_equal(np.frombuffer(raw, "<f4"), expected.ravel())
    for size in (1, 26 * 4 - 1, 26 * 4 + 1):
        status, answer, _, headers = await post(server, data=bytes(size), headers={HEADER: "0"})
        assert status == 400
        assert is_error(status, answer, headers)


async def test_a_classification_names_the_best_labels(server, expected):
    output = {"name": "scores", "parameters": {"classification": 1, "binary_data": False}}
    _, answer, _, _ = await post(server, data=as_json(outputs=[output]))
    (found,) = answer["outputs"]
    assert (found["datatype"], found["shape"]) == ("BYTES", [3, 1])
    assert [text.split(":", 1) for text in found["data"]] == [
        [f"{row.max():.6f}", f"{row.argmax()}:{('tone', 'noise')[row.argmax()]}"]
        for row in expected
    ]


async def test_large_requests_and_responses_are_those_of_small_ones(server):
    rows = np.tile(ROWS, (400, 1))[: 1 + SMALL_SCORES // 2][:1_200]
    assert len(as_json(rows)) > SMALL_JSON
    _, small, _, _ = await post(server, data=as_json())
    for path in (INFER, "/v2/models/toy/versions/2/infer"):
        status, answer, _, _ = await post(server, path, data=as_json(rows))
        assert status == 200
        assert answer["outputs"][0]["data"] == small["outputs"][0]["data"] * 400
    status, answer, _, headers = await post(server, data=as_json(np.tile(ROWS, (401, 1))))
    assert (status, "at most 1200" in answer["detail"]) == (413, True)
    assert is_error(status, answer, headers)


WRONG = {
    "no JSON": {"data": b"{"},
    "no object": {"data": b"[]"},
    "empty": {"data": b""},
    "depth": {"data": b"[" * 10_000},
    "depth of numbers": {
        "data": as_json(nested=True).replace(b"[[", b"[" * 10_000).replace(b"]]", b"]" * 10_000)
    },
    "no inputs": {"data": b"{}"},
    "no input": {"json": {"inputs": []}},
    "inputs are no list": {"json": {"inputs": {}}},
    "two inputs": {"json": {"inputs": [tensor(data=[0]), tensor(data=[0])]}},
    "another name": {"json": {"inputs": [tensor(name="x", data=[0])]}},
    "no data": {"json": {"inputs": [tensor()]}},
    "datatype": {"json": {"inputs": [tensor(datatype="FP64", data=[0])]}},
    "shape": {"json": {"inputs": [tensor(shape=[3, 25], data=[0])]}},
    "elements": {"json": {"inputs": [tensor(shape=[1, 26, 2**63], data=[0])]}},
    "too few": {"data": as_json(ROWS)[:-1].replace(b"[-2.0, ", b"[") + b"}"},
    "NaN": {"data": as_json(np.full((1, 26), np.nan))},
    "NaN in bytes": as_bytes(np.full((1, 26), np.nan, np.float32)),
    "infinite in bytes": as_bytes(np.full((1, 26), -np.inf, np.float32)),
    "other bytes": {**as_bytes(), "data": as_bytes()["data"] + b"x"},
    "fewer bytes": {**as_bytes(), "data": as_bytes()["data"][:-1]},
    "JSON past the body": {"data": as_json(), "headers": {HEADER: "999999"}},
    "a tensor that says it is JSON": {
        "data": ROWS[:1].tobytes(), "headers": {HEADER: "0", "Content-Type": "application/json"},
    },
    "no number": {"data": as_json(), "headers": {HEADER: "-1"}},
    "no digits": {"data": as_json(), "headers": {HEADER: "9" * 400}},
    "id": {"data": as_json(id=7)},
    "parameters": {"data": as_json(parameters=[])},
    "timeout": {"data": as_json(parameters={"timeout": "1"})},
    "priority": {"data": as_json(parameters={"priority": -1})},
    "flag": {"data": as_json(parameters={"binary_data_output": 1})},
    "output": {"data": as_json(outputs=[{"name": "other"}])},
    "outputs": {"data": as_json(outputs=[{"name": "scores"}] * 2)},
    "classes": {
        "data": as_json(outputs=[{"name": "scores", "parameters": {"classification": -1}}])
    },
    "no gzip": {"data": as_json(), "headers": {"Content-Encoding": "gzip"}},
    "half a gzip": {"data": gzip.compress(as_json())[:-9], "headers": {"Content-Encoding": "gzip"}},
}  # fmt: skip


async def test_whatever_is_wrong_is_400_with_a_sentence(server):
    for what, options in WRONG.items():
        status, answer, _, headers = await post(server, **options)
        assert status == 400, what
        assert is_error(status, answer, headers), what
        assert len(answer["error"]) < 400, what
    assert server.gateway.idle


async def test_other_errors_have_their_own_status_and_the_same_form(serve):
    server = await serve(max_body=200_000)
    body = as_json()
    bomb = {"data": gzip.compress(bytes(10**6)), "headers": {"Content-Encoding": "gzip"}}
    packed = {"data": body, "headers": {"Content-Encoding": "br"}}
    shared = {"inputs": [tensor(parameters={"shared_memory_region": "x"})]}
    for status, path, options in (
        (404, "/v2/models/nothing/infer", {"data": body}),
        (404, "/v2/models/toy/versions/9/infer", {"data": body}),
        (404, "/v2/models/a/b/infer", {"data": body}),
        (404, "/v2/nothing", {}),
        (405, "/v2", {}),
        (413, INFER, {"data": bytes(200_001)}),
        (413, INFER, bomb),
        (413, INFER, {"data": as_json(id="x" * MAX_DOCUMENT)}),
        (413, "/v2/repository/index", {"data": b'{"data": [' + bytes(MAX_DOCUMENT)}),
        (413, "/v2/repository/models/toy/unload", {"data": b'{"data": [' + bytes(MAX_DOCUMENT)}),
        (415, INFER, packed),
        (422, INFER + "?x=1", {"data": body}),
        (501, INFER, {"json": shared}),
        (417, INFER, {"data": body, "headers": {"Expect": "x"}}),
    ):
        found, answer, _, headers = await post(server, path, **options)
        assert found == status, (path, answer)
        assert is_error(status, answer, headers), path
    assert server.gateway.idle


async def test_metadata_health_and_index_are_read(server):
    _, answer, _ = await server.get("/v2")
    assert answer["name"] == "timbre"
    assert "binary_tensor_data" in answer["extensions"]
    for end in ("health/live", "health/ready", "models/toy/ready", "models/toy/versions/1/ready"):
        assert (await server.get(f"/v2/{end}"))[0] == 200
    for end in ("models/x/ready", "models/x", "models/x/config", "models/x/stats"):
        status, answer, headers = await server.get(f"/v2/{end}")
        assert status == 404
        assert is_error(status, answer, headers)
    for end in ("", "/versions/1"):
        _, answer, _ = await server.get(f"/v2/models/toy{end}")
        assert answer["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 26]}]
        _, answer, _ = await server.get(f"/v2/models/toy{end}/config")
        assert answer["max_batch_size"] == server.gateway.settings.max_windows
    for options in ({}, {"json": {"ready": True}}, {"data": b"{}"}):
        _, answer, _, _ = await post(server, "/v2/repository/index", **options)
        assert [each["name"] for each in answer] == ["toy", "toy", "toy-net"]


async def test_statistics_count_every_request_of_a_version(server):
    for _ in range(3):
        await post(server, data=as_json())
    await post(server, "/v2/models/toy/versions/1/infer", data=as_json(ROWS[:1]))
    await post(server, data=b"{}")
    for path, counts in (
        ("/v2/models/toy/stats", [(9, 3, 1)]),
        ("/v2/models/toy/versions/1/stats", [(1, 1, 0)]),
        ("/v2/models/stats", [(9, 3, 1), (0, 0, 0)]),
    ):
        _, answer, _ = await server.get(path)
        assert counts == [
            (
                each["inference_count"],
                each["inference_stats"]["success"]["count"],
                each["inference_stats"]["fail"]["count"],
            )
            for each in answer["model_stats"]
        ]


async def test_what_is_not_supported_says_so(server):
    for url in (
        *("/v2/logging", "/v2/trace/setting", "/v2/models/toy/trace/setting"),
        *("/v2/systemsharedmemory/status", "/v2/cudasharedmemory/region/x/register"),
    ):
        for method in ("GET", "POST"):
            async with server.http.request(method, server.url + url) as response:
                assert response.status == 501
                assert is_error(501, await response.json(), response.headers)
    for parameters in ({"config": "{}"}, {"file:1/model.onnx": "AAAA"}):
        status, *_ = await post(
            server, "/v2/repository/models/toy/load", json={"parameters": parameters}
        )
        assert status == 501


async def test_an_unloaded_model_is_not_served_until_it_is_loaded(serve, artefacts, tmp_path):
    folder = copied(artefacts, tmp_path)
    server, other = await serve(artefacts=folder), await serve(artefacts=folder)
    async with server.stream() as socket:
        await begin(socket)
        body = {"parameters": {"unload_dependents": False}}
        for _ in range(2):
            status, *_ = await post(server, "/v2/repository/models/toy/unload", json=body)
            assert status == 200
        for path in ("/v1/models/toy", "/v2/models/toy", "/v2/models/toy/versions/1/ready"):
            assert (await server.get(path))[0] == 404
        assert (await post(server, data=as_json()))[0] == 404
        # An open stream keeps what it has.
        await socket.send_bytes(pcm(tone(2.0)))
        told = [await socket.receive_json(timeout=60) for _ in range(2)]
        assert [each["type"] for each in told] == ["warning", "window"]
        assert "unloaded" in told[0]["detail"]
    await until(lambda: other.gateway.registry.names == ["toy-net"])
    put(folder, 3)
    _, answer, _, _ = await post(other, "/v2/repository/index")
    assert [(each["version"], each["state"], each["reason"]) for each in answer[:3]] == [
        (str(version), "UNAVAILABLE", "unloaded") for version in (1, 2, 3)
    ]
    await post(server, "/v2/repository/models/toy-net/unload")
    status, *_ = await server.get("/v2/health/ready")
    late = await serve(artefacts=folder)
    assert (status, late.gateway.registry.names, late.gateway.ready) == (200, [], True)
    status, *_ = await post(late, "/v2/repository/models/toy/load", json={})
    assert status == 200
    await until(lambda: other.gateway.registry.served == {"toy": "3"})
    assert (await post(late, data=as_json()))[1]["model_version"] == "3"
    for name, path in (("x", "unload"), ("x", "load"), ("..", "unload")):
        assert (await post(late, f"/v2/repository/models/{name}/{path}"))[0] == 404


async def test_keys_and_scopes_hold_as_on_other_routes(serve, tmp_path):
    store, texts = FileKeyStore(tmp_path / "keys.json"), {}
    for scope in ("classify", "stream", "admin"):
        key, texts[scope] = create_key("x", scopes=(scope,), rate=1_000.0, streams=1)
        await store.put(key)
    server = await serve(keys=str(tmp_path / "keys.json"))
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert (await server.get(path))[0] == 200
    urgent = as_json(parameters={"priority": 1})

    async def status(scope, path, **options):
        headers = {"Authorization": f"Bearer {texts[scope]}"} if scope else {}
        found, answer, _, told = await post(server, path, headers=headers, **options)
        assert found == 200 or is_error(found, answer, told)
        return found

    load = "/v2/repository/models/toy/load"
    assert await status("", INFER, data=as_json()) == 401
    assert await status("stream", INFER, data=as_json()) == 403
    assert await status("classify", INFER, data=as_json()) == 200
    assert await status("classify", INFER, data=urgent) == 403
    assert await status("classify", load) == 403
    assert await status("stream", "/v2/repository/index") == 200
    assert await status("admin", load) == 200


async def test_every_route_has_its_scope(server):
    paths = {resource.canonical for resource in server.app.router.resources()}
    found = {path for path in paths if path.startswith("/v2") and path not in ROUTE_SCOPES}
    assert found == {
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/{name}/unload",
    }


async def test_a_client_that_leaves_takes_its_jobs_along(serve):
    server = await serve()
    valve = Valve(server)
    running = asyncio.create_task(post(server, data=as_json(ROWS[:1])))
    await until(valve.begun.is_set)
    pending = asyncio.create_task(post(server, data=as_json()))
    await until(lambda: server.gateway.queue.depth == 3)
    pending.cancel()
    await until(lambda: server.gateway.queue.depth == 0)
    valve.let(10)
    assert (await running)[0] == 200
    await until(lambda: server.gateway.idle)
    assert valve.rows == 1
