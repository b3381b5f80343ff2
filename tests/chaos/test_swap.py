"""Versions are switched under many live streams, broken ones too: each window is answered once."""

import asyncio
import itertools
import json

import aiohttp
import pytest

from tests.chaos.conftest import LONG, handles
from tests.service.conftest import RATE, begin, noise, pcm, until
from tests.service.helpers.versions import copied, put

STREAMS = 100 if LONG else 20
HOP = 11_264
AHEAD = 8
"""Chunks that are sent before the windows they complete are answered."""
SOUND = [pcm(noise(HOP / RATE, seed=seed)) for seed in range(10)]


class Listening:
    """One live stream, at real speed where the machine is fast enough, until it is to end."""

    def __init__(self, session, url):
        self.session = session
        self.url = url
        self.versions = []
        self.messages = []
        self.sent = 0

    async def run(self, enough, *, delay):
        async with self.session.ws_connect(f"{self.url}/v1/models/toy/stream") as socket:
            # A machine that is busy with other things may drop windows of `latest`; here whatever
            # is lost is our fault.
            assert (await begin(socket, on_overload="complete"))["type"] == "ready"
            await asyncio.sleep(delay)
            reading = asyncio.create_task(self._read(socket))
            due = asyncio.get_running_loop().time()
            while not enough.is_set():
                await socket.send_bytes(SOUND[self.sent % len(SOUND)])
                self.sent += 1
                due += HOP / RATE
                # What waits for an answer is heard with the version it was cut for.
                while self.sent - len(self.messages) > AHEAD and not enough.is_set():
                    await asyncio.sleep(0.05)
                    due = asyncio.get_running_loop().time()
                await asyncio.sleep(due - asyncio.get_running_loop().time())
            await socket.send_json({"type": "end"})
            await reading

    async def _read(self, socket):
        async for message in socket:
            self.messages.append(json.loads(message.data))
            self.versions.append(self.messages[-1].get("version"))

    def check(self):
        """Every window was answered once, in order; return the versions in their order."""
        *told, end = self.messages
        assert {message["type"] for message in told} == {"window"}
        assert [message["start_sample"] for message in told] == [n * HOP for n in range(len(told))]
        assert (end["type"], end["reason"], end["windows"]) == ("end", "client ended", len(told))
        assert (
            end["samples_received"]
            == self.sent * HOP
            == end["samples_processed"] + end["samples_tail"]
        )
        return [version for version, _ in itertools.groupby(message["version"] for message in told)]


@pytest.mark.parametrize(
    "several",
    [
        pytest.param(False, id="one process"),
        pytest.param(True, id="gateways and workers", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow  # many streams through every change
async def test_versions_come_and_go_under_many_live_streams(
    victim, artefacts, tmp_path, request, several
):
    folder = copied(artefacts, tmp_path)
    command = ["-m", "service.cli.main", "serve", "--port", 0, "--artefacts", folder]
    command += ["--set", "load_timeout=300"]
    if several:
        command += [
            "--gateways",
            2,
            "--redis",
            request.getfixturevalue("redis_url"),
            "--workers",
            1,
        ]
    server = victim(*command)
    url = (
        await asyncio.to_thread(server.until, r" ready url=(http\S+)", times=2 if several else 1)
    )[0][1]
    pids = [
        int(match[1]) for match in server.find(r"(?:gateway|worker) started number=\d pid=(\d+)")
    ]
    pids = pids or [server.process.pid]
    before, enough = handles(*pids), asyncio.Event()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        listeners = [Listening(session, url) for _ in range(STREAMS)]
        async with asyncio.TaskGroup() as group:
            for n, each in enumerate(listeners):
                group.create_task(each.run(enough, delay=0.5 * n / STREAMS))

            async def heard_by_all(version):
                await until(lambda: all(version in each.versions[-3:] for each in listeners))

            await heard_by_all("2")
            put(folder, 3)
            await heard_by_all("3")
            put(folder, 4, broken=True)
            await asyncio.to_thread(
                server.until, "version rejected model=toy version=4", times=2 if several else 1
            )
            async with session.post(f"{url}/v1/models/toy/load", json={"version": "1"}) as answer:
                assert answer.status == 200, await answer.text()
            await heard_by_all("1")
            put(folder, 5, of=folder / "toy" / "2")
            await heard_by_all("5")
            enough.set()
        for each in listeners:
            assert each.check() == ["2", "3", "1", "5"]
    refusals = server.find("version rejected model=toy version=4")
    assert len(refusals) == (2 if several else 1)
    assert not server.find("fault|Traceback|exited")
    await until(lambda: handles(*pids) <= before + 10)
