"""Events at a real broker, as Home Assistant and others read them."""

import asyncio
import json
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from common.errors import InputError, Unprocessable
from service.archive.records import MinuteRecord, ProblemRecord
from service.monitor.config import make_sink
from service.monitor.sinks.base import SinkError
from service.monitor.sinks.mqtt import Mqtt, MqttSettings, slug, unique_id
from tests.service.monitor.sinks.test_text_files import NASTY, NOON, event

pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto") is None, reason="mosquitto is not installed"
)


@asynccontextmanager
async def broker(tmp_path, *, port=0, password=""):
    """A mosquitto on a free port of loopback, which asks for a password if there is one."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    lines = [f"listener {port} 127.0.0.1", f"allow_anonymous {'false' if password else 'true'}"]
    if password:
        users = tmp_path / "users"
        command = ["mosquitto_passwd", "-b", "-c", users, "me", password]
        await asyncio.to_thread(subprocess.run, command, check=True)
        lines += [f"password_file {users}", "user root"]
    config = tmp_path / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        "mosquitto", "-c", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(120):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.transport.abort()
                    break
        yield port
    finally:
        process.kill()
        await process.wait()


class Reader:
    """Everything that is published, by topic; the last message of each."""

    def __init__(self, client):
        self._client, self.last, self.all = client, {}, []

    async def until(self, topic, payload=None):
        async with asyncio.timeout(120):
            while topic not in self.last or payload not in {None, self.last[topic]}:
                message = await anext(self._client.messages)
                self.last[message.topic.value] = message.payload.decode()
                self.all.append((message.topic.value, message.payload.decode()))
        return self.last[topic]


@asynccontextmanager
async def reader(port, **login):
    async with aiomqtt.Client("127.0.0.1", port, **login) as client:
        await client.subscribe("#", qos=1)
        yield Reader(client)


def sink(port, **more):
    return Mqtt(MqttSettings(host="127.0.0.1", port=port, node="attic", **more))


async def write(sink, *records):
    for record in records:
        assert await sink.write([record]) == 1


async def test_a_label_is_on_from_onset_to_offset_and_found_by_home_assistant(tmp_path):
    async with broker(tmp_path) as port, reader(port) as read:
        attic = sink(port)
        await write(attic, event(1, ended=False))
        state = "timbre/attic/hall/label/violin"
        await read.until(state, "ON")
        await write(attic, event(1))
        await read.until(state, "OFF")
        said = json.loads(read.last["timbre/attic/hall/event"])
        assert (said["id"], said["label"], said["version"]) == ("hall-1", "violin", "2")

        config = json.loads(read.last["homeassistant/binary_sensor/attic_hall_violin/config"])
        assert (config["name"], config["state_topic"]) == ("violin", state)
        assert config["availability_topic"] == "timbre/attic/status"
        assert config["expire_after"] > 60
        assert config["device"]["via_device"] == "timbre_attic"
        assert read.last["timbre/attic/status"] == "online"
        await attic.close()
        await read.until("timbre/attic/status", "offline")


async def test_who_comes_later_finds_states_and_problems_and_coverage_comes_each_minute(tmp_path):
    async with broker(tmp_path) as port:
        attic = sink(port)
        minute = MinuteRecord(source="hall", minute_ms=NOON, heard_ms=60_000)
        problem = ProblemRecord(source="hall", at_ms=NOON, problem="silent", detail="it is dead")
        await write(attic, event(1, ended=False), problem)
        async with reader(port) as read:
            await read.until("timbre/attic/hall/problem", "ON")
            await read.until("timbre/attic/hall/label/violin", "ON")
            assert json.loads(await read.until("timbre/attic/hall/why"))["problem"] == "silent"
            read.last.clear()
            await write(attic, minute)
            await read.until("timbre/attic/hall/label/violin", "ON")
            assert json.loads(read.last["timbre/attic/hall/coverage"])["heard"] == 60
        await attic.close()


async def test_a_monitor_that_is_killed_is_offline_by_its_last_will(tmp_path):
    async with broker(tmp_path) as port, reader(port) as read:
        attic = sink(port)
        await write(attic, event(1, ended=False))
        await read.until("timbre/attic/status", "online")
        attic._client._client.socket().shutdown(socket.SHUT_RDWR)
        await read.until("timbre/attic/status", "offline")


async def test_a_broker_that_went_and_came_back_gets_everything_it_needs(tmp_path):
    async with broker(tmp_path) as port:
        attic = sink(port)
        await write(attic, event(1, ended=False))
    with pytest.raises(SinkError, match=r"127\.0\.0\.1"):
        await attic.write([event(2, label="oboe")])
    async with broker(tmp_path, port=port), reader(port) as read:
        await write(attic, event(2, label="flute"))
        await read.until("timbre/attic/hall/label/flute", "OFF")
        assert read.last["timbre/attic/hall/label/violin"] == "ON"
        assert "homeassistant/binary_sensor/attic_hall_violin/config" in read.last
        await attic.close()


async def test_a_wrong_password_is_told_and_never_shown(tmp_path):
    async with broker(tmp_path, password="right one") as port:
        with pytest.raises(SinkError) as error:
            await sink(port, user="me", password="wrong one").write([event()])
        assert "wrong one" not in str(error.value)
        attic = sink(port, user="me", password="right one")
        await write(attic, event())
        await attic.close()
    assert "right one" not in repr(MqttSettings(host="a", user="me", password="right one"))


@pytest.mark.parametrize("label", [*NASTY, "a/b", "+", "#", "$SYS", "a b", "A", "ä" * 60])
def test_no_label_breaks_a_topic(label):
    assert not set(slug(label)) & set("/+# \t\n$")
    assert slug(label) != slug(label + "_")


def test_two_labels_never_share_a_topic():
    labels = ["a b", "a_b", "a/b", "a+b", "A_B", "a_b_"]
    assert len({slug(label) for label in labels}) == len(labels)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b_c", "d"), ("a", "b", "c_d")),
        (("a_b", "c", "d"), ("a", "b_c", "d")),
        (("a", "b", "c d"), ("a", "b", "c_d")),
    ],
)
def test_two_entities_never_share_a_name(one, other):
    assert unique_id(*one, of_label=True) != unique_id(*other, of_label=True)
    assert unique_id(*one[:2], "problem") != unique_id(*one[:2], "problem", of_label=True)
    assert unique_id("a_b", "connected") != unique_id("a", "b", "connected", of_label=True)
    assert unique_id("a_b") != unique_id("a", "b")
    assert unique_id("attic", "hall", "violin", of_label=True) == "attic_hall_violin"


async def test_without_discovery_there_are_no_messages_of_home_assistant(tmp_path):
    async with broker(tmp_path) as port, reader(port) as read:
        attic = sink(port, discovery="", prefix="house/sound")
        await write(attic, event())
        await read.until("house/sound/attic/hall/label/violin", "OFF")
        assert all(topic.startswith("house/sound/attic/") for topic in read.last)
        await attic.close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"port": 0}, "port=0 must be between 1 and 65535"),
        ({"port": 65_536}, "port=65536"),
        ({"host": ""}, "host must name the broker"),
        ({"node": "a/b"}, "node='a/b'"),
        ({"node": ""}, "node=''"),
        ({"prefix": "a#"}, "prefix='a#'"),
        ({"discovery": "a b"}, "discovery='a b'"),
        ({"password": "x"}, "a password needs a user"),
        ({"ca": "x"}, "ca needs tls"),
    ],
)
def test_what_is_wrong_is_named(changes, told):
    with pytest.raises(Unprocessable, match=told):
        MqttSettings(**{"host": "a", **changes})


def test_certificates_that_are_none_are_told(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    table = {"kind": "mqtt", "host": "a", "tls": True, "ca": str(tmp_path / "ca.pem")}
    with pytest.raises(InputError, match="holds no certificates"):
        make_sink(table, where="sinks[0]")
