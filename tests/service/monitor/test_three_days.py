"""Three days of a monitor at full speed: every fault once, no event lost or doubled.

`python -m pytest -m slow tests/service/monitor/test_three_days.py`; HOURS=24 for less of it;
`--junitxml FILE -o junit_family=xunit1` writes memory and speed, RESULT=FILE as a result of which
docs/monitor.md has a table; ARCHIVE=DIR keeps the databases.
"""

import asyncio
import ctypes
import gc
import json
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path

import aiomqtt
import numpy as np
import pyarrow.parquet
import pytest

from benchmarks import measure
from benchmarks.memory import private
from benchmarks.reporting import results
from common.errors import InputError
from service.archive.records import MINUTE_MS, rfc3339
from service.client import Client
from service.monitor import follower, monitor
from service.monitor.config import read_config
from service.monitor.follower import Follower
from tests.helpers.server_process import free_port, killable_server
from tests.service.archive.test_database import TOTALS
from tests.service.conftest import noise, tone
from tests.service.monitor.sinks.test_mqtt import broker

pytestmark = [
    pytest.mark.slow,  # ten minutes of two cores
    pytest.mark.timeout(7_200),
    pytest.mark.skipif(shutil.which("mosquitto") is None, reason="mosquitto is not installed"),
]

HOURS = int(os.environ.get("HOURS", "72"))
WARM = 16
"""Hours until everything that is bounded has reached its bound."""
GROWTH = 1.05
RATE = 16_000
TURN_S, TURNS = 10, 6
"""A minute is of tone and noise, in turns."""
BEGIN = 1_789_948_800.0
"""A midnight in UTC."""
MINUTE_S = 0.15
"""Seconds that a minute takes at least."""
CLONE_NEWNS = 0x20000
FILE = """
server = "http://127.0.0.1:{server}"
[[sources]]
name = "garden"
input = "mic"
model = "toy"
hop = 2.0
[[sinks]]
kind = "sqlite"
path = "{disk}/%Y-%m-%d.sqlite"
[[sinks]]
kind = "jsonl"
path = "{folder}/all.jsonl"
[[sinks]]
kind = "parquet"
path = "{folder}/%Y-%m-%d"
[[sinks]]
kind = "mqtt"
host = "127.0.0.1"
port = {broker}
"""


class World:
    """The clock, the sound, and what goes wrong at which hour."""

    def __init__(self):
        self.heard_s, self.offset_s, self.faults, self.hour = 0.0, 0.0, {}, None
        self.over = asyncio.Event()
        parts = [(tone, noise)[n % 2](TURN_S, rate=RATE) for n in range(TURNS)]
        self._minute = np.concatenate(parts)

    def now(self):
        return BEGIN + self.heard_s + self.offset_s

    def open(self, _):
        return Microphone(self)

    async def second_pairs(self):
        """Yield sound, two seconds at a time, until the hours are over."""
        while self.heard_s < HOURS * 3_600:
            if self.heard_s % 3_600 == 0:
                await self.hour()
                for fault in self.faults.pop(int(self.heard_s // 3_600), ()):
                    await fault()
            if self.heard_s % 60 == 0:
                # At more than some 400 times the speed of the sound, Parquet files, which are
                # replaced as a whole, are slower than the events.
                await asyncio.sleep(MINUTE_S)
            at = round(self.heard_s % 60 * RATE)
            self.heard_s += 2
            yield self._minute[at : at + 2 * RATE]
        self.over.set()


class Microphone:
    name, sample_rate, channels, warnings = "mic", RATE, 1, ()

    def __init__(self, world):
        self._world = world

    async def chunks(self):
        async for samples in self._world.second_pairs():
            yield samples, False


class Complete(Client):
    """Its streams slow the source down, so that a busy machine drops nothing."""

    def stream(self, *arguments, **options):
        return super().stream(*arguments, **options, on_overload="complete")


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of its own, for this test only."""
    libc, folder = ctypes.CDLL(None, use_errno=True), tmp_path / "disk"
    folder.mkdir()
    if libc.unshare(CLONE_NEWNS):
        pytest.skip(f"no disk of its own: {os.strerror(ctypes.get_errno())} (needs root)")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "none", folder]
    subprocess.run(command, check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


class Switched:
    """Something of a context manager that can be ended and begun again."""

    def __init__(self, make):
        self._make, self._stack = make, AsyncExitStack()

    async def start(self):
        await self._stack.enter_async_context(self._make())

    async def kill(self):
        await self._stack.aclose()


@asynccontextmanager
async def server(artefacts, port):
    running = killable_server(artefacts, port)
    await asyncio.to_thread(running.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def subscribe(port, told):
    """Write down each event that the broker tells, until it is gone: memory is measured here."""
    with suppress(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("timbre/timbre/garden/event", qos=1)
            async for message in client.messages:
                event = json.loads(message.payload)
                told.write(f"{event['id']} {event['state']}\n")


def planned(world, disk, servers, brokers, port, told, tasks):
    """What goes wrong, by hour."""
    ballast = disk / "ballast"

    async def lose_broker():
        await brokers.kill()

    async def bring_broker():
        await brokers.start()
        tasks.append(asyncio.create_task(subscribe(port, told)))

    async def restart_server():
        await servers.kill()
        await servers.start()

    async def fill_disk():
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(2**12))

    async def free_disk():
        ballast.unlink()

    async def unplug():
        world.heard_s += 3_600
        raise InputError("it was unplugged for an hour")

    def step(seconds):
        async def set_clock():
            world.offset_s += seconds

        return set_clock

    return {
        2: [step(90)], 3: [step(-90)], 5: [lose_broker], 6: [bring_broker], 8: [restart_server],
        10: [fill_disk], 11: [free_disk], 13: [unplug], 15: [step(-3_600)], 16: [step(3_600)],
    }  # fmt: skip


def rows(folder, query):
    found = []
    for path in sorted(folder.glob("*.sqlite")):
        with closing(sqlite3.connect(path)) as database:
            found += database.execute(query).fetchall()
    return found


def check_coverage(disk):
    """Every minute of the wall clock once, and full; what nobody heard is what went wrong."""
    assert set(rows(disk, TOTALS)) == {(MINUTE_MS,)}
    minutes = [minute for (minute,) in rows(disk, "SELECT minute FROM coverage")]
    begin = round(BEGIN * 1000)
    expected = [rfc3339(begin + number * MINUTE_MS) for number in range(60 * HOURS)]
    assert sorted(minutes) == expected
    assert len(list(disk.glob("*.sqlite"))) == -(-HOURS // 24)
    away = sum(ms for (ms,) in rows(disk, "SELECT not_connected_ms FROM coverage"))
    dropped = sum(ms for (ms,) in rows(disk, "SELECT dropped_ms FROM dropped"))
    # Unplugged for an hour; the clock was 90 s and an hour ahead of what it had told.
    assert away == pytest.approx(1000 * (90 + 3_600 + 3_600), abs=10_000)
    # The ends of streams, and what the server that was killed had not answered.
    assert dropped < 120_000


def check_events(disk, folder):
    """Each event once: in the lines, in the archive, in Parquet and at the broker."""
    told = [tuple(line.split()) for line in (folder / "told.txt").read_text().splitlines()]
    with (folder / "all.jsonl").open() as lines:
        found = [event for event in map(json.loads, lines) if event["type"] == "event"]
    states = sorted((event["id"], event["state"]) for event in found)
    assert len(set(states)) == len(states)
    assert set(told) == set(states)
    # What the broker had and could not acknowledge before it died came again.
    assert len(told) - len(states) <= 1
    onsets = [id_ for id_, state in states if state == "onset"]
    offsets = [id_ for id_, state in states if state == "offset"]
    assert onsets == sorted(id_ for (id_,) in rows(disk, "SELECT id FROM events"))
    ended = 'SELECT id FROM events WHERE "end" IS NOT NULL'
    assert offsets == sorted(id_ for (id_,) in rows(disk, ended)) == onsets
    files = sorted(folder.glob("*-event-*.parquet"))
    tables = [pyarrow.parquet.read_table(path, columns=["id"]) for path in files]
    assert sorted(id_ for table in tables for id_ in table["id"].to_pylist()) == offsets
    # Each turn begins once; at the borders of streams one may begin again, or be cut off.
    assert len(onsets) == pytest.approx((HOURS - 1) * 60 * TURNS, abs=30)


def check_log(log):
    """Each fault is told once, and so is its end; no record was lost."""
    counts = {"sqlite 0": 1, "mqtt 3": 1, "jsonl 1": 0, "parquet 2": 0}
    for name, count in counts.items():
        assert log.count(f"sink failed sink='{name}'") == count, log
        assert log.count(f"sink works again sink='{name}' lost=0") == count
    assert log.count("clock moved") == 4
    assert log.count("server lost") == log.count("server back") == 1
    assert log.count("source fails") == 1


def result_of(times, measured, machine):
    """The speed, and the memory in bytes at each hour, as a result of a benchmark."""
    row = {"what": f"{HOURS} hours", "times_speed": times}
    points = {"first_mb": measured[0], "most_mb": max(measured), "last_mb": measured[-1]}
    return results.document(
        "monitor-days",
        command=f"HOURS={HOURS} python -m pytest -m slow {'/'.join(Path(__file__).parts[-4:])}",
        settings={"hours": HOURS},
        rows=[row | {name: held / 1e6 for name, held in points.items()}],
        machine=machine,
        heads={
            "times_speed": "times the speed of the sound",
            "first_mb": "MB after an hour",
            "most_mb": "most",
            "last_mb": "at the end",
        },
    )


async def test_three_days_with_every_fault_once(
    artefacts, tmp_path, disk, monkeypatch, record_property, capfd
):
    world, tasks, measured = World(), [], []
    told = (tmp_path / "told.txt").open("w+")
    ports = free_port(), free_port()
    brokers = Switched(lambda: broker(tmp_path, port=ports[1]))
    servers = Switched(lambda: server(artefacts, ports[0]))
    await brokers.start()
    await servers.start()
    tasks.append(asyncio.create_task(subscribe(ports[1], told)))

    async def note():
        gc.collect()
        measured.append(private(os.getpid()))

    world.hour = note
    world.faults = planned(world, disk, servers, brokers, ports[1], told, tasks)
    monkeypatch.setattr(follower, "open_input", world.open)
    monkeypatch.setattr(follower, "FIRST_WAIT_S", 0.05)
    # A server that starts takes no time of this world.
    monkeypatch.setattr(follower, "NO_SOUND_S", 600.0)
    monkeypatch.setattr(monitor, "Follower", partial(Follower, clock=world.now))
    monkeypatch.setattr(monitor, "Client", Complete)
    config = tmp_path / "m.toml"
    config.write_text(FILE.format(server=ports[0], broker=ports[1], disk=disk, folder=tmp_path))
    machine = measure.machine()
    begin, stopped = time.monotonic(), asyncio.Event()
    running = asyncio.create_task(monitor.monitor(read_config(config), stopped))
    over = asyncio.create_task(world.over.wait())
    await asyncio.wait((running, over), return_when=asyncio.FIRST_COMPLETED)
    stopped.set()
    await running
    took = time.monotonic() - begin
    await asyncio.sleep(1)
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    told.close()
    await brokers.kill()
    await servers.kill()
    record_property("times the speed of the sound", round(HOURS * 3_600 / took))
    record_property("MB of each hour", [round(each / 2**20, 1) for each in measured])
    if path := os.environ.get("RESULT"):
        results.write(Path(path), result_of(HOURS * 3_600 / took, measured, machine))
    if keep := os.environ.get("ARCHIVE"):
        shutil.copytree(disk, keep, dirs_exist_ok=True)
    log = capfd.readouterr().err
    check_coverage(disk)
    check_events(disk, tmp_path)
    check_log(log)
    assert max(measured[WARM:]) < GROWTH * max(measured[:WARM]), measured
