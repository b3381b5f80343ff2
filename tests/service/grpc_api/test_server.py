"""The gRPC port of a server: shared by gateways, TLS, in use, drained at SIGTERM."""

import asyncio
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import grpc
import numpy as np
import pytest

from common.errors import Unprocessable
from service.cli import serve as command
from service.grpc_api.schema import CLASSES, SERVICE
from service.grpc_api.server import GrpcServer
from tests.service.cli.test_serve import serve_process  # noqa: F401 - a fixture
from tests.service.conftest import until
from tests.service.grpc_api.conftest import infer_request, scores_of
from tests.service.server.test_tls import ours, theirs  # noqa: F401 - fixtures

OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


async def is_ready(channel, **options):
    data = await channel.unary_unary(f"/{SERVICE}/ServerReady")(b"", timeout=60, **options)
    return CLASSES["ServerReadyResponse"].FromString(data).ready


async def test_gateways_share_the_port_and_finish_what_is_accepted(serve_process):  # noqa: F811
    server = serve_process("--gateways", "2", "--grpc-port", "0")
    port = int(server.until(r"ready .*grpc=127\.0\.0\.1:(\d+)", times=2)[1])
    # A channel of its own for each: the kernel spreads connections.
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OWN_CONNECTION) for _ in range(8)
    ]
    assert all(await asyncio.gather(*map(is_ready, channels)))
    rows = np.zeros((600, 26), np.float32)
    request = infer_request(rows, name="features").SerializeToString()
    calls = [
        channel.unary_unary(f"/{SERVICE}/ModelInfer")(request, timeout=60) for channel in channels
    ]
    # It is accepted, and its answer is still to come.
    await calls[0].wait_for_connection()
    code = await asyncio.to_thread(server.end)
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert code == 0
    for each in found:
        if isinstance(each, bytes):
            assert scores_of(CLASSES["ModelInferResponse"].FromString(each)).shape == (600, 2)
        else:
            assert each.code() is grpc.StatusCode.UNAVAILABLE
    assert "fault" not in "".join(server.log)
    for channel in channels:
        await channel.close()


def test_a_port_in_use_is_named(serve_process):  # noqa: F811
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for gateways in (1, 2):
            server = serve_process("--gateways", gateways, "--grpc-port", port)
            assert server.process.wait(60) == 1
            assert f":{port}" in server.process.stderr.read()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_connection_that_says_nothing_is_closed(grpc_serve, ours, monkeypatch, tls):  # noqa: F811
    monkeypatch.setattr("service.grpc_api.server.HANDSHAKE_S", 0.2)
    files = map(str, ours) if tls else ("", "")
    client = await grpc_serve(**dict(zip(("tls_certificate", "tls_key"), files, strict=True)))
    for begin in (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[:10]):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.grpc_server.port)
        writer.write(begin)
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 60)  # up to the end
        writer.transport.abort()


async def test_it_speaks_tls_and_reads_a_new_certificate(grpc_serve, ours, theirs, tmp_path):  # noqa: F811
    files = [shutil.copy(path, tmp_path) for path in ours]
    client = await grpc_serve(tls_certificate=files[0], tls_key=files[1])
    address = f"127.0.0.1:{client.grpc_server.port}"

    async def trusts(pem):
        pem = await asyncio.to_thread(Path(pem).read_bytes)
        credentials = grpc.ssl_channel_credentials(pem)
        async with grpc.aio.secure_channel(address, credentials, options=OWN_CONNECTION) as channel:
            return await is_ready(channel)

    assert await trusts(ours[0])
    with pytest.raises(grpc.aio.AioRpcError):
        await client.call("ServerReady")  # unencrypted
    for new, old in zip(theirs, files, strict=True):
        shutil.copy(new, old)
    assert await trusts(theirs[0])


async def test_the_port_of_a_running_server_is_told_and_not_shared(client):
    app = client.server.app
    object.__setattr__(client.server.gateway.settings, "grpc_port", client.grpc_server.port)
    with pytest.raises(OSError, match="for gRPC"):
        GrpcServer(app)


def test_without_its_packages_gRPC_is_an_error_that_names_the_extra(monkeypatch):  # noqa: N802
    command.check_grpc(0)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    command.check_grpc(-1)
    with pytest.raises(Unprocessable, match="timbre\\[grpc\\]"):
        command.check_grpc(0)


async def code_of(call):
    """The name and the text of the status of a call."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details()
    return "OK", ""


async def test_calls_in_progress_have_a_bound_which_health_checks_do_not_share(
    grpc_serve, monkeypatch
):
    monkeypatch.setattr("service.grpc_api.calls.MAX_PROBES", 1)
    client = await grpc_serve(max_connections=2)
    streams = [client.stream() for _ in range(2)]
    gateway = client.server.gateway
    await until(lambda: gateway.streams == 2)
    said = await code_of(client.call("ServerMetadata"))
    assert said == ("RESOURCE_EXHAUSTED", "2 of 2 gRPC calls are in progress on this gateway")
    assert await is_ready(client.channel)
    watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
    await watch.read()
    said = await code_of(is_ready(client.channel))
    assert said == (
        "RESOURCE_EXHAUSTED",
        "1 of 1 gRPC health checks are in progress on this gateway",
    )
    for each in (*streams, watch):
        each.cancel()
    await until(lambda: gateway.streams == 0)
    assert (await client.call("ServerMetadata")).name == "timbre"


async def test_past_its_own_bounds_calls_are_rejected_by_gRPC(grpc_serve, monkeypatch):  # noqa: N802
    for name in ("MAX_PROBES", "BEING_REJECTED"):
        monkeypatch.setattr(f"service.grpc_api.server.{name}", 0)
    client = await grpc_serve(max_connections=1)
    stream = client.stream()
    await until(lambda: client.server.gateway.streams == 1)
    assert (await code_of(client.call("ServerMetadata")))[0] == "RESOURCE_EXHAUSTED"
    stream.cancel()
    await until(lambda: client.server.gateway.streams == 0)
    assert (await client.call("ServerMetadata")).name == "timbre"


async def test_connections_have_a_bound(grpc_serve):
    client = await grpc_serve(max_connections=2)
    address = f"127.0.0.1:{client.grpc_server.port}"
    async with grpc.aio.insecure_channel(address, options=OWN_CONNECTION) as first:
        async with grpc.aio.insecure_channel(address, options=OWN_CONNECTION) as second:
            assert await is_ready(first)
            assert await is_ready(second)
            async with grpc.aio.insecure_channel(address, options=OWN_CONNECTION) as third:
                assert (await code_of(is_ready(third)))[0] == "UNAVAILABLE"
        async with grpc.aio.insecure_channel(address, options=OWN_CONNECTION) as third:
            assert await is_ready(third, wait_for_ready=True)
