"""The users and settings for Redis: a real redis-server with them, a real server and worker."""

import re

import pytest
import redis

from service.auth.key_store import RedisKeyStore
from service.client import Client
from service.doctor.redis_server import check_redis
from service.queue import status
from tests.helpers.server_process import ROOT, server_process
from tests.service.conftest import noise, pcm, wav
from tests.service.helpers.keys import new_key
from tests.service.helpers.redis_server import start_redis

SHIPPED = ROOT / "deploy" / "redis"
USERS = (SHIPPED / "users.acl").read_text(encoding="utf-8")
MODEL = "instruments-forest"
SEES_ALL = "user admin on nopass ~* &* +@all\n"


def granted(name):
    """The commands of a user."""
    (line,) = (line for line in USERS.splitlines() if line.startswith(f"user {name} "))
    return set(re.findall(r" \+([\w|]+)", line))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A redis-server of the shipped files."""
    users = tmp_path_factory.mktemp("users") / "users.acl"
    users.write_text(re.sub(r">\w+_PASSWORD", ">secret", USERS) + SEES_ALL, "utf-8")
    folder = tmp_path_factory.mktemp("socket")
    server = start_redis(
        tmp_path_factory, "--include", SHIPPED / "timbre.conf", "--aclfile", users,
        "--unixsocket", folder / "redis.sock",
        url=f"unix://admin:x@{folder}/redis.sock",
    )  # fmt: skip
    yield server
    server.end()


def address(server, user):
    return server.url.replace("admin:x@", f"{user}:secret@")


async def test_server_worker_and_commands_do_everything_as_the_user_timbre(server):
    url = address(server, "timbre")
    key, token = new_key(scopes=("classify", "stream"))
    store = RedisKeyStore(url)
    await store.put(key)
    await store.close()
    options = ("--redis", url, "--keys", "redis", "--set", f"models={MODEL}")
    with server_process(*options) as served:
        client = Client(served, token=token)
        assert (await client.classify(wav(noise(3)), model=MODEL))["windows"]
        async with client.stream(MODEL, sample_rate=22_050) as stream:
            await stream.send(pcm(noise(3)))
            await stream.finish()
            assert "window" in [event.type async for event in stream]
        assert len((await status.status(url))["workers"]) == 1
    assert await status.dead(url) == []
    assert await status.clear(url) == 0
    found = {finding.check: finding for finding in await check_redis(url)}
    assert [finding.state for name, finding in found.items() if name != "Redis round trip"] == [
        "good"
    ] * 5
    rejected = [entry["object"] for entry in server.client.acl_log()]
    # redis-py says its name, and does not mind.
    assert set(rejected) <= {"client|setinfo", "client"}


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "timbre:other", "1"),
        ("GET", "{other}:jobs:live"),
        ("XADD", "{timbre2}:jobs:live", "*", "job", "1"),
        ("EVAL", "return redis.call('SET', 'other', 1)", 0),
        ("EVAL", "return redis.call('KEYS', '*')", 0),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "requirepass"),
        ("CONFIG", "SET", "dir", "/tmp"),
        ("ACL", "SETUSER", "timbre", "+@all"),
        ("SHUTDOWN",),
        ("SAVE",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MODULE", "LIST"),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "FLUSH"),
        ("MIGRATE", "127.0.0.1", "1", "", "0", "1", "KEYS", "{timbre}:keys"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("CLUSTER", "RESET"),
        ("MONITOR",),
        ("PUBLISH", "any", "1"),
        ("SUBSCRIBE", "any"),
        ("RENAME", "{timbre}:keys", "{timbre}:other"),
    ],
)
def test_the_user_timbre_may_do_nothing_else(server, command):
    client = redis.Redis.from_url(address(server, "timbre"), protocol=2)
    with pytest.raises(redis.ResponseError, match=r"(?i)no permission|NOPERM|ACL failure|can't"):
        client.execute_command(*command)
    client.close()


def test_nobody_enters_without_a_password_of_the_file(server):
    socket = server.url.split("@")[1]
    for user in ("", "timbre:wrong@", "admin2:x@"):
        client = redis.Redis.from_url(f"unix://{user}{socket}", protocol=2)
        with pytest.raises((redis.AuthenticationError, redis.ResponseError)):
            client.ping()
        client.close()


def test_the_scaler_may_read_the_length_of_the_queues_and_no_entry(server):
    client = redis.Redis.from_url(address(server, "keda"), protocol=2)
    assert client.xlen("{timbre}:jobs:clips") == 0
    for command in (("XRANGE", "{timbre}:jobs:clips", "-", "+"), ("XLEN", "{timbre}:dead")):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.execute_command(*command)
    client.close()


def test_each_command_of_the_user_timbre_is_one_that_the_code_sends():
    rooms = ("queue", "auth", "event_feed", "doctor")
    files = [path for room in rooms for path in (ROOT / "service" / room).glob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    sent = {name.lower() for name in re.findall(r"redis\.call\(\s*'(\w+)'", code)}
    calls = {name.partition("_")[0] for name in re.findall(r"\.(x\w+|[a-z]+)\(", code)}
    sent |= {{"delete": "del"}.get(name, name) for name in calls}
    # A pipeline of one transaction; a client's first words, alone and in a cluster.
    others = {"multi", "exec", "select", "cluster|slots"}
    assert granted("timbre") - sent - others == set()


def test_redis_starts_with_the_shipped_settings_and_they_are_safe(server):
    settings = server.client.config_get("*")
    assert settings["maxmemory-policy"] == "noeviction"
    assert int(settings["maxmemory"]) > 0
    assert settings["appendonly"] == "yes"
