"""TLS with certificates made by openssl for the test: handshakes, trust, and unusable files."""

import asyncio
import os
import resource
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from common.errors import InputError, Unprocessable
from service.cli.serve import main
from service.client import Client
from service.client.transport import Unreachable
from service.client.trust import client_context
from service.server.certificate_expiry import expires_at
from service.server.tls import Certificate, server_context
from tests.service.cli.test_serve import Process
from tests.service.conftest import RATE, tone, wav
from tests.service.helpers.certificates import certificate
from tests.service.server.test_connections import closed, opened


@pytest.fixture(scope="session")
def ours(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "ours")


@pytest.fixture(scope="session")
def theirs(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "theirs")


async def test_clips_and_streams_go_over_tls(artefacts, ours):
    async with opened(artefacts, tls_certificate=ours[0], tls_key=ours[1]) as server:
        client = Client(f"wss://127.0.0.1:{server.port}", authorities=ours[0])
        assert (await client.classify(wav(tone(2)), "toy"))["labels"] == ["tone"]
        async with client.stream("toy", sample_rate=RATE) as stream:
            await stream.send(np.zeros(2 * RATE))
            await stream.finish()
            assert stream.windows == 1


async def test_a_client_that_does_not_trust_the_certificate_sends_nothing(artefacts, ours, theirs):
    async with opened(artefacts, tls_certificate=ours[0], tls_key=ours[1]) as server:
        for client in (
            Client(f"https://127.0.0.1:{server.port}", "secret", authorities=each)
            for each in (None, theirs[0])
        ):
            with pytest.raises(Unreachable, match="not trusted here"):
                await client.describe("toy")


async def test_plain_http_and_old_tls_are_rejected(artefacts, ours):
    async with opened(artefacts, tls_certificate=ours[0], tls_key=ours[1]) as server:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(f"http://127.0.0.1:{server.port}/livez")
        context = server_context(*ours)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_files_that_are_wrong_are_named(ours, theirs, tmp_path):
    (tmp_path / "text").write_text("no certificate")
    for files, named in [
        ((ours[0], ""), "both"),
        (("", ours[1]), "both"),
        ((str(tmp_path / "none"), ours[1]), "none: No such file"),
        ((ours[0], str(tmp_path)), "directory"),
        ((str(tmp_path / "text"), ours[1]), "text"),
        ((ours[0], theirs[1]), "another certificate"),
    ]:
        with pytest.raises(Unprocessable, match=named):
            server_context(*files)
    assert server_context("", "") is None
    for path in (tmp_path / "none", tmp_path / "text"):
        with pytest.raises(InputError, match=path.name):
            client_context(str(path))


def test_an_encrypted_key_is_rejected_without_a_prompt(ours, tmp_path):
    locked = tmp_path / "locked.key"
    command = [
        "openssl",
        "pkcs8",
        "-topk8",
        "-in",
        ours[1],
        "-out",
        str(locked),
        "-passout",
        "pass:hidden",
    ]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(Unprocessable, match="passphrase"):
        server_context(ours[0], str(locked))


def test_serve_rejects_unusable_files_before_it_starts(ours, theirs, capsys):
    assert main(["--set", f"tls_certificate={ours[0]}", "--set", f"tls_key={theirs[1]}"]) == 2
    assert "another certificate" in capsys.readouterr().err


async def test_a_connection_without_a_handshake_is_closed(artefacts, ours, monkeypatch):
    monkeypatch.setattr("service.server.connections.HANDSHAKE_S", 0.3)
    async with opened(artefacts, tls_certificate=ours[0], tls_key=ours[1]) as server:
        reader, writer = await server.connect(b"\x16\x03")
        await closed(reader)
        writer.transport.abort()


async def test_connections_in_their_handshake_are_counted_and_closed_first(artefacts, ours, capfd):
    async with opened(
        artefacts, tls_certificate=ours[0], tls_key=ours[1], max_connections=10
    ) as server:
        client = Client(f"https://127.0.0.1:{server.port}", authorities=ours[0])
        async with client.stream("toy", sample_rate=RATE) as stream:
            silent = [await server.connect() for _ in range(9)]
            await asyncio.sleep(0.2)
            assert "too many" not in capfd.readouterr().err
            others = [await server.connect() for _ in range(5)]
            # The oldest are closed, and no others.
            for reader, _ in silent[:5]:
                await closed(reader)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(silent[5][0].read(), 0.2)
            await client.describe("toy")
            await stream.send(np.zeros(2 * RATE))
            await stream.finish()
            assert (stream.windows, stream.reconnects) == (1, 0)
        assert "open=1 handshakes=9 closed='one without TLS yet'" in capfd.readouterr().err
    for reader, writer in [*silent, *others]:
        await closed(reader)
        writer.transport.abort()


async def test_without_a_file_descriptor_left_the_server_pauses_and_recovers(
    artefacts, ours, monkeypatch, capfd
):
    monkeypatch.setattr("service.server.connections.PAUSE_S", 0.1)
    async with opened(artefacts, tls_certificate=ours[0], tls_key=ours[1]) as server:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as late:
            late.setblocking(False)
            # The lowest free file descriptor is used first: without gaps the next is last + 1.
            last = max(int(each.name) for each in Path("/proc/self/fd").iterdir())  # noqa: ASYNC240
            filling = [os.open(os.devnull, os.O_RDONLY)]
            while filling[-1] < last:
                filling.append(os.open(os.devnull, os.O_RDONLY))
            resource.setrlimit(resource.RLIMIT_NOFILE, (filling[-1] + 1, hard))
            try:
                await asyncio.get_running_loop().sock_connect(late, ("127.0.0.1", server.port))
                told = ""
                while "cannot accept connections why='Too many open files'" not in told:
                    await asyncio.sleep(0.01)
                    told += capfd.readouterr().err
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for each in filling:
                    os.close(each)
        await Client(f"https://127.0.0.1:{server.port}", authorities=ours[0]).describe("toy")
        told += capfd.readouterr().err
        assert told.count("cannot accept connections") == 1
        assert told.count("connections are accepted again") == 1


async def test_a_new_certificate_is_loaded_under_live_streams(
    artefacts, ours, theirs, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr("service.server.tls.CHECK_S", 0.0)
    files = [tmp_path / "certificate.pem", tmp_path / "key.pem"]

    def put(pair):
        for path, source in zip(files, pair, strict=True):
            draft = path.with_suffix(".draft")
            shutil.copy(source, draft)
            draft.replace(path)

    async def trusted(by):
        try:
            await Client(f"https://127.0.0.1:{server.port}", authorities=by).describe("toy")
        except Unreachable:
            return False
        return True

    put(ours)
    async with opened(artefacts, tls_certificate=str(files[0]), tls_key=str(files[1])) as server:
        assert [await trusted(each) for each in (ours[0], theirs[0])] == [True, False]
        old = Client(f"https://127.0.0.1:{server.port}", authorities=ours[0])
        async with old.stream("toy", sample_rate=RATE) as stream:
            await stream.send(np.zeros(RATE))
            put(theirs)
            assert [await trusted(each) for each in (ours[0], theirs[0])] == [False, True]
            files[1].write_text("no key")
            assert [await trusted(each) for each in (ours[0], theirs[0])] == [False, True]
            files[0].unlink()
            assert await trusted(theirs[0])
            assert await trusted(theirs[0])
            put(ours)
            assert [await trusted(each) for each in (ours[0], theirs[0])] == [True, False]
            await stream.send(np.zeros(RATE))
            await stream.finish()
            assert (stream.windows, stream.reconnects) == (1, 0)
    told = capfd.readouterr().err
    assert (told.count("certificate not reloaded"), told.count("certificate reloaded")) == (2, 2)


def test_it_tells_when_the_certificate_expires_that_is_used(ours, theirs):
    told = []
    for pair in (ours, theirs):
        Certificate(*pair, expires=told.append)
    assert told == [expires_at(Path(pair[0])) for pair in (ours, theirs)]
    Certificate("", "", expires=told.append)
    assert len(told) == 2


def request_start(port, authorities):
    """Return the start of the response to one request over a new connection."""
    context = ssl.create_default_context(cafile=authorities)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=120) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return secure.recv(12)


async def test_the_server_process_uses_tls_and_closes_connections_without_a_handshake(
    artefacts, ours
):
    server = Process(
        "--artefacts",
        artefacts,
        "--set",
        f"tls_certificate={ours[0]}",
        "--set",
        f"tls_key={ours[1]}",
    )
    try:
        port = int(
            (await asyncio.to_thread(server.until, r" ready url=https://127.0.0.1:(\d+)"))[1]
        )
        # From outside our loop: what a client says first may be there before the server looks.
        assert [await asyncio.to_thread(request_start, port, ours[0]) for _ in range(60)] == [
            b"HTTP/1.1 200"
        ] * 60
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        client = Client(f"https://127.0.0.1:{port}", authorities=ours[0])
        answers = await asyncio.gather(*(client.classify(wav(tone(2)), "toy") for _ in range(20)))
        assert all(answer["labels"] == ["tone"] for answer in answers)
        assert await asyncio.to_thread(server.end) == 0
        for reader, writer in silent:
            await closed(reader)
            writer.transport.abort()
        assert not [line for line in server.log if "Traceback" in line or "rror" in line]
    finally:
        server.process.kill()
        server.process.wait()
        server.process.stderr.close()
