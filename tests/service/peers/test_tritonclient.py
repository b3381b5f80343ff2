"""Triton's own client speaks to a server: every call of its list passes."""

import json
from pathlib import Path

import pytest

from service.grpc_api.schema import CLASSES
from service.grpc_api.server import GrpcServer
from tests.service.helpers.peers import calls, python_of
from tests.service.helpers.versions import copied

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def client_python():
    """The python of the client's own environment."""
    return python_of(HERE / "tritonclient.txt")


async def test_every_call_of_the_http_clients_passes(serve, artefacts, tmp_path, client_python):
    server = await serve(artefacts=copied(artefacts, tmp_path))
    found = await calls(client_python, HERE / "tritonclient_http.py", server.url)
    assert {name: error for name, error in found.items() if error} == {}
    assert {"health", "infer_in_every_form", "errors", "asyncio_client"} <= set(found)


async def test_every_call_of_the_grpc_clients_passes(serve, artefacts, tmp_path, client_python):
    server = await serve(artefacts=copied(artefacts, tmp_path), grpc_port=0)
    grpc_server = GrpcServer(server.app)
    await grpc_server.start()
    fields = {
        name: {
            field.name: [field.number, field.type, field.is_repeated]
            for field in each.DESCRIPTOR.fields
        }
        for name, each in CLASSES.items()
    }
    address = f"127.0.0.1:{grpc_server.port}"
    script = HERE / "tritonclient_grpc.py"
    found = await calls(client_python, script, address, json.dumps(fields))
    await grpc_server.stop()
    assert {name: error for name, error in found.items() if error} == {}
    assert {"fields_agree", "health", "streams", "errors", "asyncio_client"} <= set(found)
