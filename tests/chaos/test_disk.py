"""The disk that logs go to is full: the server goes on."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from service.client import Client
from tests.service.conftest import begin, noise, pcm, rest_of, wav


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.slow  # fills a disk under load
async def test_a_full_disk_under_the_log_costs_nobody_an_answer(artefacts, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    command = [sys.executable, "-m", "service.cli.main", "serve", "--port", unused_tcp_port]
    command += ["--gateways", 2, "--artefacts", artefacts]
    full = os.open("/dev/full", os.O_WRONLY)
    command = [str(each) for each in command]
    server = subprocess.Popen(command, stdout=full, stderr=full)  # noqa: ASYNC220 - takes no time
    os.close(full)
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            while not await ready(http, url):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
            async with http.ws_connect(f"{url}/v1/models/toy/stream") as socket:
                # A machine that is busy with other things may drop windows of `latest`.
                assert (await begin(socket, on_overload="complete"))["type"] == "ready"
                await socket.send_bytes(pcm(noise(3)))
                await socket.send_json({"type": "end"})
                *windows, end, code = await rest_of(socket)
            assert (["window"] * len(windows), end["windows"], code) == (
                [each["type"] for each in windows],
                2,
                1000,
            )
            for _ in range(5):
                assert (await Client(url).classify(wav(noise(2)), "toy"))["windows"]
            async with http.get(f"{url}/nowhere") as response:
                assert response.status == 404
    finally:
        server.terminate()
        code = await asyncio.to_thread(server.wait, 60)
    assert code == 0


async def ready(http, url):
    """Whether every gateway is: each connection goes to one of them, by chance."""
    try:
        for _ in range(10):
            async with http.get(f"{url}/readyz", headers={"Connection": "close"}) as response:
                if response.status != 200:
                    return False
    except aiohttp.ClientError:
        return False
    return True
