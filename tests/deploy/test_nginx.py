"""The configuration for nginx: a real nginx with it, before a real server."""

import io
import os
import shutil
import subprocess
import wave

import aiohttp
import pytest

from service.client import Client
from tests.helpers.server_process import ROOT, free_port, server_process

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
SHIPPED = (ROOT / "deploy" / "nginx" / "timbre.conf").read_text(encoding="utf-8")
# A minute is long for a test: both times are 1/60 of it, and in the same order.
SHORT = ("60s", "1s"), ("listen 80", "listen 127.0.0.1:{port}"), ("127.0.0.1:8000", "{server}")
# Its workers are somebody else where it is started by root, and then could not write here.
USER = "" if os.getuid() else "user root;"
MAIN = """
{user} pid nginx.pid; error_log stderr; worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {shipped}
}}
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """The address of an nginx before a server that pings every third of a second."""
    if not NGINX:
        pytest.skip("no nginx on this machine")
    options = ("--set", "models=instruments-forest", "--set", "heartbeat=0.33")
    with server_process(*options, "--set", "allowed_hosts=timbre.example.org") as server:
        folder, port = tmp_path_factory.mktemp("nginx"), free_port()
        text = SHIPPED
        for shipped, here in SHORT:
            assert shipped in text
            text = text.replace(shipped, here.format(port=port, server=server.split("//")[1]))
        (folder / "nginx.conf").write_text(MAIN.format(shipped=text, user=USER), encoding="utf-8")
        command = [NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        # It returns once it listens.
        subprocess.run(command, check=True)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            subprocess.run([*command, "-s", "stop"], check=True)


def silent_wav(seconds):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 44_100, 0, "NONE", ""))
        writer.writeframes(bytes(2 * 44_100 * seconds))
    return file.getvalue()


async def test_a_clip_larger_than_nginx_takes_by_itself_is_classified(proxy):
    body = io.BytesIO(silent_wav(30))
    assert body.getbuffer().nbytes > 2**20
    url = "/v1/models/instruments-forest/classify"
    async with aiohttp.ClientSession(proxy) as http, http.post(url, data=body) as response:
        assert response.status == 200
        assert len((await response.json())["windows"]) == 15


async def test_a_stream_is_answered_window_by_window(proxy):
    async with Client(proxy).stream("instruments-forest", sample_rate=22_050) as stream:
        await stream.send(bytes(2 * 22_050 * 3))
        # Before the end is sent: nothing of it waits in a buffer of the proxy.
        told = []
        async for event in stream:
            told.append(event.type)
            if told.count("window") == 2:
                await stream.finish()
    assert told[-1] == "end"


async def test_a_stream_without_sound_outlives_the_time_limit_of_the_proxy(proxy):
    async with aiohttp.ClientSession(proxy) as http:
        url = "/v1/models/instruments-forest/stream"
        async with http.ws_connect(url, autoping=False) as socket:
            await socket.send_json({"type": "start", "sample_rate": 22_050})
            assert (await socket.receive_json())["type"] == "ready"
            for _ in range(5):  # 1.6 s of pings, past the limit of a second
                message = await socket.receive(timeout=120)
                assert message.type == aiohttp.WSMsgType.PING
                await socket.pong(message.data)


async def test_events_come_through_at_once(proxy):
    async with aiohttp.ClientSession(proxy) as http, http.get("/v1/events") as response:
        assert response.status == 200
        assert (await response.content.readline()).startswith(b"retry:")


@pytest.mark.parametrize(
    ("host", "status"), [("timbre.example.org", 200), ("elsewhere.example.org", 421)]
)
async def test_the_name_that_the_client_asked_for_reaches_the_server(proxy, host, status):
    http = aiohttp.ClientSession(proxy, headers={"Host": host})
    async with http, http.get("/v1/models") as response:
        assert response.status == status


async def test_metrics_are_not_for_everybody(proxy):
    async with aiohttp.ClientSession(proxy) as http, http.get("/metrics") as response:
        assert response.status == 404
        assert "timbre_" not in await response.text()


async def test_who_comes_through_the_proxy_may_not_change_models(proxy):
    url = "/v1/models/instruments-forest/load"
    async with aiohttp.ClientSession(proxy) as http, http.post(url) as response:
        assert response.status == 403
