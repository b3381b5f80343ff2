"""Every call of tritonclient.http and its asyncio form against a server, as JSON lines.

Run in the environment of tools/peer-environment: tritonclient_http.py URL. The model `toy` is there
in the versions 1 and 2, with one input `features` of 26 numbers and the labels tone and noise.
"""

import asyncio
import json
import sys
import traceback

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

ROWS = np.linspace(-2, 2, 3 * 26, dtype=np.float32).reshape(3, 26)
CALLS = {}


def call(function):
    CALLS[function.__name__] = function
    return function


def tensor(*, binary=True, rows=ROWS):
    found = triton.InferInput("features", list(rows.shape), "FP32")
    found.set_data_from_numpy(rows, binary_data=binary)
    return found


def scores(result):
    found = result.as_numpy("scores")
    assert found.shape == (3, 2), found.shape
    return found


def rejected(status, make):
    try:
        make()
    except InferenceServerException as error:
        assert error.status() == str(status), error.status()
        assert error.message(), "no message"
        assert "exception occurred in the client" not in error.message(), error.message()
        return
    raise AssertionError("not rejected")


@call
def health(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("toy")
    assert client.is_model_ready("toy", "1")
    assert not client.is_model_ready("toy", "9")
    assert not client.is_model_ready("nothing")


@call
def metadata(client):
    server = client.get_server_metadata()
    assert server["name"] == "timbre"
    assert "binary_tensor_data" in server["extensions"]
    for version in ("", "1"):
        found = client.get_model_metadata("toy", version)
        assert found["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 26]}]
        config = client.get_model_config("toy", version)
        assert config["input"][0]["data_type"] == "TYPE_FP32"
        assert config["max_batch_size"] > 1


@call
def index(client):
    found = client.get_model_repository_index()
    assert {"name": "toy", "version": "1", "state": "READY", "reason": ""} in found


@call
def infer_in_every_form(client):
    named = [
        None,
        [triton.InferRequestedOutput("scores", binary_data=True)],
        [triton.InferRequestedOutput("scores", binary_data=False)],
    ]
    results = [
        client.infer("toy", [tensor(binary=binary)], outputs=outputs, request_id="a")
        for binary in (True, False)
        for outputs in named
    ]
    for result in results:
        assert result.get_response()["id"] == "a"
        assert result.get_response()["model_version"] == "2"
        assert np.array_equal(scores(result), scores(results[0]))


@call
def infer_of_a_version(client):
    result = client.infer("toy", [tensor()], model_version="1")
    assert result.get_response()["model_version"] == "1"
    scores(result)


@call
def infer_compressed(client):
    plain = scores(client.infer("toy", [tensor()]))
    for request in ("gzip", "deflate"):
        for response in (None, "gzip", "deflate"):
            for binary in (True, False):
                result = client.infer(
                    "toy",
                    [tensor(binary=binary)],
                    request_compression_algorithm=request,
                    response_compression_algorithm=response,
                )
                assert np.array_equal(scores(result), plain)


@call
def infer_with_parameters(client):
    result = client.infer(
        "toy",
        [tensor()],
        sequence_id=7,
        sequence_start=True,
        sequence_end=True,
        priority=1,
        timeout=5_000_000,
        parameters={"mine": "x"},
        headers={"X-Request-Id": "b"},
    )
    scores(result)


@call
def classification(client):
    for binary in (True, False):
        output = triton.InferRequestedOutput("scores", binary_data=binary, class_count=1)
        result = client.infer("toy", [tensor()], outputs=[output])
        found = result.as_numpy("scores")
        assert found.shape == (3, 1)
        text = found[0, 0].decode() if isinstance(found[0, 0], bytes) else found[0, 0]
        assert text.split(":")[2] in ("tone", "noise"), text


@call
def infer_async(client):
    waiting = [client.async_infer("toy", [tensor()], request_id=str(n)) for n in range(8)]
    for n, each in enumerate(waiting):
        result = each.get_result()
        assert result.get_response()["id"] == str(n)
        scores(result)


@call
def raw_body(client):
    body, size = triton.InferenceServerClient.generate_request_body([tensor()])
    headers = {"Inference-Header-Content-Length": size}
    response = client._post("v2/models/toy/infer", body, headers, None)
    assert response.status_code == 200


@call
def statistics(client):
    client.infer("toy", [tensor()])
    for arguments in ((), ("toy",), ("toy", "2")):
        found = client.get_inference_statistics(*arguments)["model_stats"][0]
        assert found["name"] == "toy"
        assert found["inference_count"] >= 3
        assert found["inference_stats"]["success"]["count"] >= 1
        assert found["inference_stats"]["success"]["ns"] > 0


@call
def errors(client):
    rejected(404, lambda: client.infer("nothing", [tensor()]))
    rejected(404, lambda: client.infer("toy", [tensor()], model_version="9"))
    rejected(404, lambda: client.get_model_metadata("nothing"))
    wrong = triton.InferInput("other", [3, 26], "FP32")
    wrong.set_data_from_numpy(ROWS)
    rejected(400, lambda: client.infer("toy", [wrong]))
    output = triton.InferRequestedOutput("other")
    rejected(400, lambda: client.infer("toy", [tensor()], outputs=[output]))
    rejected(400, lambda: client.infer("toy", [tensor(rows=ROWS[:, :5])]))
    rejected(501, client.get_trace_settings)
    rejected(501, lambda: client.get_trace_settings("toy"))
    rejected(501, lambda: client.update_trace_settings(settings={"trace_rate": "1"}))
    rejected(501, client.get_log_settings)
    rejected(501, client.get_system_shared_memory_status)
    rejected(501, lambda: client.register_system_shared_memory("x", "/x", 8))
    rejected(501, client.unregister_system_shared_memory)
    rejected(501, client.get_cuda_shared_memory_status)
    rejected(501, lambda: client.load_model("toy", config="{}"))
    rejected(501, lambda: client.load_model("toy", config="{}", files={"file:1/m": b"x" * 10**6}))
    shared = triton.InferInput("features", [3, 26], "FP32")
    shared.set_shared_memory("x", ROWS.nbytes)
    rejected(501, lambda: client.infer("toy", [shared]))


@call
def unload_and_load(client):
    client.unload_model("toy-net")
    assert not client.is_model_ready("toy-net")
    states = {each["name"]: each["state"] for each in client.get_model_repository_index()}
    assert states["toy-net"] == "UNAVAILABLE"
    client.load_model("toy-net")
    assert client.is_model_ready("toy-net")
    rejected(404, lambda: client.load_model("nothing"))
    rejected(404, lambda: client.unload_model("nothing"))


async def asyncio_client(url):
    async with triton_aio.InferenceServerClient(url) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("toy")
        assert not await client.is_model_ready("nothing")
        assert (await client.get_server_metadata())["name"] == "timbre"
        assert (await client.get_model_metadata("toy"))["name"] == "toy"
        assert (await client.get_model_config("toy"))["name"] == "toy"
        assert await client.get_model_repository_index()
        assert (await client.get_inference_statistics("toy"))["model_stats"]
        results = await asyncio.gather(
            *(client.infer("toy", [tensor(binary=n % 2 == 0)]) for n in range(8)),
            client.infer("toy", [tensor()], request_compression_algorithm="gzip"),
            client.infer("toy", [tensor()], response_compression_algorithm="deflate"),
        )
        assert all(np.array_equal(scores(each), scores(results[0])) for each in results)
        await client.unload_model("toy-net")
        assert not await client.is_model_ready("toy-net")
        await client.load_model("toy-net")
        try:
            await client.infer("nothing", [tensor()])
        except InferenceServerException as error:
            assert error.status() == "404"
        else:
            raise AssertionError("not rejected")


def main(url):
    host = url.removeprefix("http://")
    with triton.InferenceServerClient(host, concurrency=4, network_timeout=60) as client:
        for name, function in CALLS.items():
            tell(name, lambda function=function: function(client))
    tell("asyncio_client", lambda: asyncio.run(asyncio_client(host)))


def tell(name, run):
    """Print the outcome of a call."""
    try:
        run()
        why = ""
    except Exception:
        why = traceback.format_exc()
    print(json.dumps({"call": name, "error": why}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
