"""Every call of tritonclient.grpc and its asyncio form against a server, as JSON lines.

Run in the environment of tools/peer-environment: tritonclient_grpc.py HOST:PORT [FIELDS]. The model
`toy` is there in the versions 1 and 2, with one input `features` of 26 numbers and the labels tone
and noise. FIELDS: JSON of the numbers of our fields, by message.
"""

import asyncio
import json
import queue
import sys
import traceback

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

ROWS = np.linspace(-2, 2, 3 * 26, dtype=np.float32).reshape(3, 26)
CALLS = {}


def call(function):
    CALLS[function.__name__] = function
    return function


def tensor(rows=ROWS):
    found = triton.InferInput("features", list(rows.shape), "FP32")
    found.set_data_from_numpy(rows)
    return [found]


def scores(result):
    found = result.as_numpy("scores")
    assert found.shape == (3, 2), found.shape
    return found


def rejected(status, make):
    try:
        make()
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{status}", error.status()
        assert error.message(), "no message"
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
    assert client.get_server_metadata().name == "timbre"
    found = client.get_model_metadata("toy", as_json=True)
    assert found["versions"] == ["1", "2"], found
    assert found["inputs"] == [{"name": "features", "datatype": "FP32", "shape": ["-1", "26"]}]
    config = client.get_model_config("toy", "1", as_json=True)["config"]
    assert config["max_batch_size"] > 0
    assert config["input"][0]["dims"] == ["26"]


@call
def infer_in_every_form(client):
    plain = scores(client.infer("toy", tensor(), request_id="7"))
    wanted = [triton.InferRequestedOutput("scores")]
    forms = [
        {"outputs": wanted},
        {"model_version": "2"},
        {"compression_algorithm": "gzip"},
        {"compression_algorithm": "deflate"},
        {"priority": 1, "timeout": 30_000_000, "client_timeout": 60},
        {"sequence_id": 5, "sequence_start": True, "sequence_end": True},
        {"sequence_id": "five", "parameters": {"own": 1}},
        {"headers": {"x-request-id": "a1"}},
    ]
    for form in forms:
        assert np.array_equal(scores(client.infer("toy", tensor(), **form)), plain), form
    best = [triton.InferRequestedOutput("scores", class_count=1)]
    found = client.infer("toy", tensor(), outputs=best).as_numpy("scores")
    assert found.shape == (3, 1)
    assert found[0, 0].split(b":")[2] in (b"tone", b"noise")


@call
def infer_asynchronously(client):
    answers = queue.Queue()
    client.async_infer("toy", tensor(), callback=lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=60)
    assert error is None
    scores(result)


@call
def streams(client):
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number in range(20):
        rows = ROWS[:, :25] if number == 10 else ROWS
        client.async_stream_infer(
            "toy", tensor(rows), request_id=str(number), enable_empty_final_response=True
        )
    for number in range(20):
        result, error = answers.get(timeout=60)
        assert (error is None) == (number != 10), error
        if error is None:
            response = result.get_response()
            assert response.id == str(number)
            assert response.parameters["triton_final_response"].bool_param
    client.stop_stream()


@call
def errors(client):
    rejected("NOT_FOUND", lambda: client.infer("nothing", tensor()))
    rejected("NOT_FOUND", lambda: client.infer("toy", tensor(), model_version="9"))
    rejected("INVALID_ARGUMENT", lambda: client.infer("toy", tensor(ROWS[:, :25])))
    rejected("NOT_FOUND", lambda: client.get_model_metadata("nothing"))
    rejected("UNIMPLEMENTED", client.get_system_shared_memory_status)
    rejected("UNIMPLEMENTED", client.get_trace_settings)
    rejected("UNIMPLEMENTED", lambda: client.load_model("toy", config="{}"))


@call
def statistics(client):
    found = client.get_inference_statistics("toy", as_json=True)["model_stats"][0]
    assert int(found["inference_stats"]["success"]["count"]) > 0
    assert int(found["inference_count"]) > 0
    assert len(client.get_inference_statistics().model_stats) >= 2


@call
def repository(client):
    index = client.get_model_repository_index().models
    assert ("toy", "1", "READY") in [(each.name, each.version, each.state) for each in index]
    client.unload_model("toy-net")
    assert not client.is_model_ready("toy-net")
    client.load_model("toy-net")
    assert client.is_model_ready("toy-net")


async def asyncio_client(address):
    async with triton_aio.InferenceServerClient(address) as client:
        assert await client.is_server_live()
        plain = scores(await client.infer("toy", tensor()))

        async def requests():
            for number in range(5):
                yield {"model_name": "toy", "inputs": tensor(), "request_id": str(number)}

        found = [answer async for answer in client.stream_infer(requests())]
        assert [result.get_response().id for result, _ in found] == list("01234")
        assert all(np.array_equal(scores(result), plain) for result, _ in found)
        assert len((await client.get_model_repository_index()).models) >= 3
        try:
            await client.infer("nothing", tensor())
        except InferenceServerException as error:
            assert error.status() == "StatusCode.NOT_FOUND"
        else:
            raise AssertionError("not rejected")


def fields_agree(fields):
    """Every field of ours has the number, the type and the label of Triton's."""
    theirs = {}
    for module in (service_pb2, model_config_pb2):
        pending = list(module.DESCRIPTOR.message_types_by_name.values())
        while pending:
            message = pending.pop()
            pending += message.nested_types
            name = message.full_name.removeprefix("inference.")
            theirs[name] = {
                each.name: [each.number, each.type, each.is_repeated] for each in message.fields
            }
    wrong = [
        (message, name, found, theirs.get(message, {}).get(name))
        for message, described in fields.items()
        for name, found in described.items()
        if theirs.get(message, {}).get(name) != found
    ]
    assert wrong == [], wrong


def main(address, fields):
    tell("fields_agree", lambda: fields_agree(json.loads(fields)))
    with triton.InferenceServerClient(address) as client:
        for name, function in CALLS.items():
            tell(name, lambda function=function: function(client))
    tell("asyncio_client", lambda: asyncio.run(asyncio_client(address)))


def tell(name, run):
    """Print the outcome of a call."""
    try:
        run()
        why = ""
    except Exception:
        why = traceback.format_exc()
    print(json.dumps({"call": name, "error": why}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
