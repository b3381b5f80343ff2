"""Triton's own client speaks to a server: every call of its list passes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.grpc_api.schema import CLASSES
from service.grpc_api.server import GrpcServer
from tests.service.helpers.versions import copied

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="session")
def client_python():
    """The python of the client's own environment; made now unless it is there."""
    found = subprocess.run(
        [ROOT / "tools/peer-environment", HERE / "tritonclient.txt"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert found.returncode == 0, f"the environment of tritonclient cannot be made: {found.stderr}"
    return found.stdout.strip()


async def calls(python, script, *arguments):
    """The calls that a script made, and the error of each that failed."""
    process = await asyncio.create_subprocess_exec(
        python, HERE / script, *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found = [json.loads(line) for line in output.decode().splitlines()]
    return process.returncode, {each["call"]: each["error"] for each in found}


async def test_every_call_of_the_http_clients_passes(serve, artefacts, tmp_path, client_python):
    server = await serve(artefacts=copied(artefacts, tmp_path))
    code, found = await calls(client_python, "tritonclient_http.py", server.url)
    failed = {name: error for name, error in found.items() if error}
    assert (code, failed) == (0, {})
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
    code, found = await calls(client_python, "tritonclient_grpc.py", address, json.dumps(fields))
    await grpc_server.stop()
    failed = {name: error for name, error in found.items() if error}
    assert (code, failed) == (0, {})
    assert {"fields_agree", "health", "streams", "errors", "asyncio_client"} <= set(found)
