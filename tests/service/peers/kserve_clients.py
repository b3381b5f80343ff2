"""KServe's own clients, for REST and for gRPC, against a server, as JSON lines.

Run in the environment of tools/peer-environment: kserve_clients.py URL HOST:PORT. The model `toy`
is there, with one input `features` of 26 numbers and the labels tone and noise.
"""

import asyncio
import json
import sys
import traceback

import grpc
import httpx
import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferOutput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput

ROWS = np.linspace(-2, 2, 3 * 26, dtype=np.float32).reshape(3, 26)


def request(*, binary=False, rows=ROWS, model="toy", **fields):
    sent = InferInput("features", list(rows.shape), "FP32")
    sent.set_data_from_numpy(rows, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[sent], **fields)


def scores(response):
    (output,) = response.outputs
    assert isinstance(output, InferOutput)
    found = output.as_numpy()
    assert found.shape == (3, 2), found.shape
    return found


async def rest_health(client, url):
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "toy")
    try:
        assert not await client.is_model_ready(url, "nothing")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 404


async def rest_infer(client, url):
    plain = scores(await client.infer(url, request(), model_name="toy"))
    forms = [
        request(binary=True),
        request(request_id="a1"),
        request(parameters={"priority": 1}),
        request(request_outputs=[RequestedOutput("scores", {"binary_data": True})]),
        request(request_outputs=[RequestedOutput("scores", {"binary_data": False})]),
    ]
    for form in forms:
        found = await client.infer(url, form, model_name="toy")
        assert np.array_equal(scores(found), plain)
        assert found.model_name == "toy"
    # As a dict, as the examples of the documentation have it.
    document = {
        "inputs": [
            {"name": "features", "shape": [3, 26], "datatype": "FP32", "data": ROWS.tolist()}
        ]
    }
    assert np.array_equal(scores(await client.infer(url, document, model_name="toy")), plain)


async def rest_errors(client, url):
    for model, rows, status in (("nothing", ROWS, 404), ("toy", ROWS[:, :25], 400)):
        try:
            await client.infer(url, request(rows=rows, model=model), model_name=model)
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == status, error
            assert error.response.json()["error"]
        else:
            raise AssertionError("not rejected")


async def grpc_health(client, _):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("toy")
    assert not await client.is_model_ready("nothing")


async def grpc_infer(client, _):
    plain = scores(await client.infer(request()))
    for form in (request(binary=True), request(request_id="a1"), request(model_version="1")):
        found = await client.infer(form, headers=(("x-request-id", "a1"),))
        assert scores(found).shape == plain.shape
    assert np.array_equal(scores(await client.infer(request(binary=True))), plain)


async def grpc_errors(client, _):
    wanted = (("nothing", ROWS, "NOT_FOUND"), ("toy", ROWS[:, :25], "INVALID_ARGUMENT"))
    for model, rows, code in wanted:
        try:
            await client.infer(request(rows=rows, model=model))
        except grpc.RpcError as error:
            assert error.code().name == code, error
        else:
            raise AssertionError("not rejected")


async def main(url, address):
    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    async with InferenceGRPCClient(address) as over_grpc:
        for name, function in globals().copy().items():
            if name.startswith("rest_"):
                await tell(name, function(rest, url))
            elif name.startswith("grpc_"):
                await tell(name, function(over_grpc, address))
    await rest.close()


async def tell(name, call):
    """Print the outcome of a call."""
    try:
        await call
        why = ""
    except Exception:
        why = traceback.format_exc()
    print(json.dumps({"call": name, "error": why}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
