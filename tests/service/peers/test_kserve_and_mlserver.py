"""KServe's clients and MLServer's codecs and command speak to a server, as in their examples."""

from pathlib import Path

import pytest

from service.grpc_api.server import GrpcServer
from tests.service.helpers.peers import ROOT, calls, python_of
from tests.service.helpers.versions import copied

HERE = Path(__file__).parent


@pytest.mark.slow  # an environment of 100 packages
async def test_every_call_of_kserves_clients_passes(serve, artefacts, tmp_path):
    python = python_of(HERE / "kserve.txt")
    server = await serve(artefacts=copied(artefacts, tmp_path), grpc_port=0)
    grpc_server = GrpcServer(server.app)
    await grpc_server.start()
    address = f"127.0.0.1:{grpc_server.port}"
    try:
        found = await calls(python, HERE / "kserve_clients.py", server.url, address)
    finally:
        await grpc_server.stop()
    assert {name: error for name, error in found.items() if error} == {}
    wanted = {f"{over}_{what}" for over in ("rest", "grpc") for what in ("health", "infer")}
    assert wanted <= set(found)


@pytest.mark.slow  # an environment of 70 packages
async def test_mlservers_codecs_and_its_command_pass(serve, artefacts, tmp_path):
    python = python_of(ROOT / "benchmarks" / "peers" / "mlserver.txt")
    server = await serve(artefacts=copied(artefacts, tmp_path))
    found = await calls(python, HERE / "mlserver_client.py", server.url)
    assert {name: error for name, error in found.items() if error} == {}
    assert set(found) == {"codecs", "metadata", "command_infer"}
