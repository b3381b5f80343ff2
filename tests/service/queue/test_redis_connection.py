"""Connections to Redis: password, TLS, Sentinel, cluster, failover."""

import asyncio
import gc
import shutil
import signal
import subprocess
import warnings
from contextlib import asynccontextmanager

import pytest
from redis.crc import key_slot
from redis.exceptions import RedisError

from common.errors import Unprocessable
from service.auth.key_store import RedisKeyStore
from service.auth.keys import create_key
from service.auth.redis_limits import RedisLimits
from service.queue import status
from service.queue.redis import RedisQueue
from service.queue.redis_connection import CLOSE_S, close, connect
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import LIVE_JOBS
from service.queue.redis_tls import PromptTLSConnection
from service.server.worker import Worker
from tests.service.conftest import until
from tests.service.helpers.redis_server import PROGRAM, start_redis
from tests.service.queue.test_contract import Doubler, job


@pytest.fixture
def start(tmp_path_factory):
    servers = []

    def begin(*arguments, url):
        servers.append(start_redis(tmp_path_factory, *arguments, url=url))
        return servers[-1]

    yield begin
    for server in servers:
        server.end()


@asynccontextmanager
async def queue_at(url):
    """A queue and a worker for it."""
    worker = Worker(
        RedisConsumer(url, name="w"), lambda *_: Doubler(), max_batch=4, heartbeat=lambda: None
    )
    working = asyncio.create_task(worker.run())
    queue = RedisQueue(url, max_jobs=10)
    try:
        async with asyncio.timeout(60):
            await queue.open()
        yield queue
    finally:
        await queue.close()
        worker.shut_down()
        await working


async def test_a_port_with_a_password_and_a_database_of_its_own(start, unused_tcp_port, capfd):
    url = f"redis://:sesame@127.0.0.1:{unused_tcp_port}/3"
    server = start("--port", unused_tcp_port, "--requirepass", "sesame", url=url)
    async with queue_at(url) as queue:
        assert (await queue.submit(job(1))).scores[0] == 2
    assert server.client.info("keyspace").keys() == {"db3"}
    wrong = RedisQueue(url.replace("sesame", "secret"), max_jobs=1)
    opening = asyncio.create_task(wrong.open())
    await until(lambda: "unavailable" in wrong.unavailable)
    opening.cancel()
    await wrong.close()
    log = capfd.readouterr().err
    assert "queue unavailable" in log
    assert not any(word in log for word in ("sesame", "secret"))


async def test_a_user_limited_to_our_keys_and_safe_commands_is_enough(redis_server, redis_url):
    allowed = ("~{timbre}:*", "+@all", "-@dangerous", "-@admin")
    redis_server.client.execute_command("ACL", "SETUSER", "timbre", "on", ">sesame", *allowed)
    url = redis_url.replace("unix://", "unix://timbre:sesame@")
    someone, _ = create_key("someone", scopes=("classify",), rate=3, streams=2)
    store, shared = RedisKeyStore(url), RedisLimits(url)
    async with queue_at(url) as queue:
        assert (await queue.submit(job(1))).scores[0] == 2
        await status.status(url)
        await status.clear(url)
        await store.put(someone)
        assert await store.all() == {someone.id: someone}
        await shared.count_request(someone)
        async with shared.count_stream(someone):
            pass
    for each in (store, shared):
        await each.close()
    # redis-py sends its own name, which Redis 6.2 calls dangerous, and does without; so does the
    # check of the settings of Redis.
    assert {each["object"] for each in redis_server.client.acl_log()} <= {"client", "info"}


@pytest.fixture
def tls(tmp_path):
    """The options of a TLS-only server without its port, and the query of its URL."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    # A build with TLS complains of the missing certificate; neither starts.
    trial = subprocess.run(
        [PROGRAM, "--port", "0", "--tls-port", "1"], check=False, capture_output=True
    )
    if b"No tls-cert-file" not in trial.stdout:
        pytest.skip(f"{PROGRAM} was built without TLS")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
        "-subj /CN=timbre -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    options = ["--tls-cert-file", certificate, "--tls-key-file", key]
    return [
        *options,
        "--tls-ca-cert-file",
        certificate,
        "--tls-auth-clients",
        "no",
    ], f"?ssl_ca_certs={certificate}"


async def test_tls_with_an_authority_named_in_the_url(start, unused_tcp_port, tls):
    options, authority = tls
    url = f"rediss://127.0.0.1:{unused_tcp_port}"
    start("--tls-port", unused_tcp_port, *options, url=url + authority)
    async with queue_at(url + authority) as queue:
        assert (await queue.submit(job(1))).scores[0] == 2
    stranger = RedisQueue(url, max_jobs=1)
    opening = asyncio.create_task(stranger.open())
    await until(lambda: "unavailable" in stranger.unavailable)
    opening.cancel()
    await stranger.close()


async def test_sentinel_is_followed_to_the_new_master(start, unused_tcp_port_factory, tmp_path):
    ports = [unused_tcp_port_factory() for _ in range(3)]
    urls = [f"redis://127.0.0.1:{port}" for port in ports]
    master = start("--port", ports[0], url=urls[0])
    replica = start("--port", ports[1], "--replicaof", "127.0.0.1", ports[0], url=urls[1])
    await until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {ports[2]}\ndir {tmp_path}\nsentinel monitor timbre 127.0.0.1 {ports[0]} 1\n"
        "sentinel down-after-milliseconds timbre 500\nsentinel failover-timeout timbre 3000\n"
    )
    command = [PROGRAM, configuration, "--sentinel"]
    sentinel = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        await asyncio.sleep(0.5)
        async with queue_at(f"redis+sentinel://127.0.0.1:{ports[2]}/timbre") as queue:
            assert (await queue.submit(job(1))).scores[0] == 2
            # Sentinel asks the master for its replicas every ten seconds.
            await until(lambda: "slave0" in sentinel_info(ports[2]))
            master.kill()
            await until(lambda: queue.unavailable)
            await until(lambda: not queue.unavailable)
            assert (await queue.submit(job(2))).scores[0] == 4
    finally:
        sentinel.kill()
        sentinel.wait()


async def test_sentinel_and_master_with_tls_and_a_password(
    start, unused_tcp_port_factory, tls, tmp_path
):
    options, authority = tls
    options += ["--tls-replication", "yes"]
    ports = [unused_tcp_port_factory() for _ in range(2)]
    master = start(
        "--tls-port", ports[0], *options, "--requirepass", "sesame",
        url=f"rediss://:sesame@127.0.0.1:{ports[0]}/2{authority}",
    )  # fmt: skip
    configuration = tmp_path / "sentinel.conf"
    lines = [
        f"{name.removeprefix('--')} {value}"
        for name, value in zip(options[::2], options[1::2], strict=True)
    ]
    lines += [
        "port 0",
        f"tls-port {ports[1]}",
        f"dir {tmp_path}",
        f"sentinel monitor timbre 127.0.0.1 {ports[0]} 1",
    ]
    configuration.write_text("\n".join([*lines, "sentinel auth-pass timbre sesame", ""]))
    command = [PROGRAM, configuration, "--sentinel"]
    sentinel = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        async with queue_at(
            f"rediss+sentinel://:sesame@127.0.0.1:{ports[1]}/timbre/2{authority}"
        ) as queue:
            assert (await queue.submit(job(1))).scores[0] == 2
        assert master.client.info("keyspace").keys() == {"db2"}
        stranger = RedisQueue(f"redis+sentinel://:sesame@127.0.0.1:{ports[1]}/timbre/2", max_jobs=1)
        opening = asyncio.create_task(stranger.open())
        await until(lambda: "unavailable" in stranger.unavailable)
        opening.cancel()
        await stranger.close()
    finally:
        sentinel.kill()
        sentinel.wait()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://h", "redis://"),
        ("redis://h:x", "x"),
        ("redis://h:1?socket_timeout=1", "socket_timeout"),
        ("redis://h:1?ssl_ca_certs=x", "ssl_ca_certs"),
        ("rediss://h:1?ssl_shoes=x", "ssl_shoes"),
        ("redis+sentinel://:sesame@h/s", "'h' is not HOST:PORT"),
        ("redis+sentinel://:sesame@h:1", "service name"),
        ("redis+sentinel://:sesame@h:1/s/x", "'x'"),
        ("redis+cluster://:sesame@h:1,h:", "'h:' is not HOST:PORT"),
        ("redis+cluster://:sesame@h:1/2", "no databases"),
    ],
)
def test_invalid_addresses_are_rejected_before_anything_is_sent(url, why):
    with pytest.raises(Unprocessable, match="not a Redis address") as caught:
        connect(url)
    assert why in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://:p@[::1]:1,[::2]:2",
        "redis+sentinel://h:1,i:2/s",
        "rediss://h?ssl_cert_reqs=none&db=2",
    ],
)
def test_valid_addresses_are_accepted(url):
    assert connect(url)


async def test_an_unknown_master_is_named(start, unused_tcp_port):
    with pytest.raises(RedisError, match=r"^no reachable Sentinel knows a master named 'timbre'$"):
        await connect(f"redis+sentinel://127.0.0.1:{unused_tcp_port}/timbre").ping()


def sentinel_info(port):
    """A sentinel's list of replicas, as text."""
    import redis

    with redis.Redis(port=port, protocol=2) as client:
        return "slave0" if client.execute_command("SENTINEL", "REPLICAS", "timbre") else ""


async def test_a_cluster_with_tls_and_a_password(start, unused_tcp_port_factory, tls):
    options, authority = tls
    options += ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--tls-replication", "yes"]
    options += ["--requirepass", "sesame", "--masterauth", "sesame"]
    ports = [port for _ in range(60) if (port := unused_tcp_port_factory()) < 55_000][:2]
    urls = [f"rediss://:sesame@127.0.0.1:{port}{authority}" for port in ports]
    owner, other = (
        start("--tls-port", port, *options, url=url) for port, url in zip(ports, urls, strict=True)
    )
    owner.client.execute_command("CLUSTER ADDSLOTS", *range(16_384))
    other.client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0])
    await until(lambda: other.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    url = f"rediss+cluster://:sesame@127.0.0.1:{ports[1]}"
    async with queue_at(url + authority) as queue:
        assert (await queue.submit(job(1))).scores[0] == 2
        assert owner.client.exists(LIVE_JOBS) == 1
    for wrong in (url, url.replace("sesame", "secret") + authority):
        stranger = RedisQueue(wrong, max_jobs=1)
        opening = asyncio.create_task(stranger.open())
        await until(lambda stranger=stranger: "unavailable" in stranger.unavailable)
        opening.cancel()
        await stranger.close()


THIRD = 5_462


class Cluster:
    """Three nodes that own a third each, and a replica of the one that owns our keys."""

    def __init__(self, start, ports):
        urls = [f"redis://127.0.0.1:{port}" for port in ports]
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", 500]
        self.nodes = [
            start("--port", port, *options, url=url) for port, url in zip(ports, urls, strict=True)
        ]
        self.ids = [node.client.execute_command("CLUSTER MYID").decode() for node in self.nodes]
        self.ports = ports

    async def form(self):
        for n, node in enumerate(self.nodes[:3]):
            node.client.execute_command(
                "CLUSTER ADDSLOTS", *range(n * THIRD, min(16_384, (n + 1) * THIRD))
            )
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", n + 1)
        for port in self.ports[1:]:
            self.nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", port)
        await until(lambda: all(self.state(node) for node in self.nodes))

    def state(self, node):
        info = node.client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "4"

    def move(self, slot, source, target):
        """Migrate a slot while its keys are in use."""
        there, here = self.nodes[target].client, self.nodes[source].client
        there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self.ids[source])
        here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self.ids[target])
        while keys := here.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            here.execute_command(
                "MIGRATE", "127.0.0.1", self.ports[target], "", 0, 5_000, "KEYS", *keys
            )
        for client in (there, here):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", self.ids[target])


async def test_a_cluster_is_followed_through_slot_moves_and_failover(
    start, unused_tcp_port_factory
):
    # The nodes speak with each other on ports ten thousand higher.
    ports = [port for _ in range(60) if (port := unused_tcp_port_factory()) < 55_000][:4]
    cluster = Cluster(start, ports)
    await cluster.form()
    slot = key_slot(LIVE_JOBS.encode())
    owner = slot // THIRD
    target = (owner + 1) % 3
    cluster.nodes[3].client.execute_command("CLUSTER REPLICATE", cluster.ids[target])
    # Any node will do to begin with, and one that is not there does no harm.
    async with queue_at(f"redis+cluster://127.0.0.1:1,127.0.0.1:{ports[(owner + 2) % 3]}") as queue:
        assert (await queue.submit(job(1))).scores[0] == 2
        assert cluster.nodes[owner].client.exists(LIVE_JOBS) == 1
        cluster.move(slot, owner, target)
        await until(lambda: queue.unavailable)
        await until(lambda: not queue.unavailable)
        assert (await queue.submit(job(2))).scores[0] == 4
        replica = cluster.nodes[3].client
        await until(lambda: replica.info("replication").get("master_link_status") == "up")
        cluster.nodes[target].kill()
        await until(lambda: queue.unavailable)
        await until(lambda: not queue.unavailable)
        assert (await queue.submit(job(3))).scores[0] == 6


async def test_a_search_for_the_owner_leaves_no_connection_whenever_it_is_cancelled(
    start, unused_tcp_port_factory
):
    # A node speaks with others on a port ten thousand higher.
    port = next(port for _ in range(60) if (port := unused_tcp_port_factory()) < 55_000)
    node = start("--port", port, "--cluster-enabled", "yes", url=f"redis://127.0.0.1:{port}")
    outcomes = []
    for iterations in range(1, 500):
        client = connect(f"redis+cluster://127.0.0.1:{port}")
        search = asyncio.create_task(client.connection_pool.make_connection().connect())
        for _ in range(iterations):
            await asyncio.sleep(0)
        search.cancel()
        (outcome,) = await asyncio.gather(search, return_exceptions=True)
        outcomes.append(type(outcome))
        await until(lambda: len(node.client.client_list()) == 1)
        if outcome.args == ("no node owns the keys",):
            break
    assert set(outcomes) == {asyncio.CancelledError, ConnectionError}


async def test_a_stopped_redis_does_not_block_closing(tmp_path_factory):
    redis = start_redis(tmp_path_factory)
    jobs, queue = RedisConsumer(redis.url, name="worker"), RedisQueue(redis.url, max_jobs=9)
    try:
        await jobs.open()
        await queue.open()
        redis.signal(signal.SIGSTOP)
        async with asyncio.timeout(CLOSE_S + 1.5):
            await asyncio.gather(queue.close(), jobs.close())
    finally:
        redis.end()


CLIENTS = {
    "alone": "rediss://127.0.0.1:{port}",
    "cluster": "rediss+cluster://127.0.0.1:{port}",
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_no_tls_connection_outlives_the_loop_of_a_client_that_is_closed(
    start, unused_tcp_port_factory, tls, kind
):
    options, authority = tls
    # A node speaks with others on a port ten thousand higher.
    port = next(port for _ in range(60) if (port := unused_tcp_port_factory()) < 55_000)
    if kind == "cluster":
        options = [*options, "--cluster-enabled", "yes", "--tls-cluster", "yes"]
    server = start("--tls-port", port, *options, url=f"rediss://127.0.0.1:{port}{authority}")
    if kind == "cluster":
        server.client.execute_command("CLUSTER ADDSLOTS", *range(16_384))
        asyncio.run(
            until(lambda: server.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        )

    async def read_and_close():
        client = connect(CLIENTS[kind].format(port=port) + authority)
        for _ in range(400):
            if await pinged(client):
                break
            await asyncio.sleep(0.05)
        reading = asyncio.create_task(client.blpop([LIVE_JOBS], timeout=5))
        await asyncio.sleep(0.1)
        # It answers nothing from now on, also no request to close.
        server.signal(signal.SIGSTOP)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        async with asyncio.timeout(CLOSE_S + 1.5):
            await close(client)

    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            asyncio.run(read_and_close())
            gc.collect()
    finally:
        server.signal(signal.SIGCONT)
    assert [str(one.message) for one in told if one.category is ResourceWarning] == []


async def pinged(client):
    try:
        return await client.ping()
    except (RedisError, OSError):
        return False


def test_every_kind_of_tls_connection_is_closed_at_once():
    addresses = ("rediss://h", "rediss+cluster://h:1", "rediss+sentinel://h:1/s")
    clients = [connect(url) for url in addresses]
    clients += clients[-1].connection_pool.sentinel_manager.sentinels
    assert len(clients) == 4
    for client in clients:
        assert issubclass(client.connection_pool.connection_class, PromptTLSConnection)
