"""The ways to reach Redis: a port with a password, TLS, and Sentinel through a failover."""

import asyncio
import shutil
import subprocess
import time
from contextlib import asynccontextmanager

import pytest

from service.redisjobs import RedisJobs
from service.redisqueue import RedisQueue
from service.worker import Worker
from tests.service.conftest import until
from tests.service.redisserver import PROGRAM, start_redis
from tests.service.test_queues import Doubler, job


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
    worker = Worker(RedisJobs(url, name="w"), lambda *_: Doubler(), max_batch=4, pulse=lambda: None)
    working = asyncio.create_task(worker.run())
    queue = RedisQueue(url, max_jobs=10)
    try:
        async with asyncio.timeout(10):
            await queue.open()
        yield queue
    finally:
        await queue.close()
        worker.leave()
        await working


async def test_a_port_with_a_password_and_a_database_of_its_own(start, unused_tcp_port, capfd):
    url = f"redis://:sesame@127.0.0.1:{unused_tcp_port}/3"
    server = start("--port", unused_tcp_port, "--requirepass", "sesame", url=url)
    async with queue_at(url) as queue:
        assert (await queue.ask(job(1))).scores[0] == 2
    assert server.client.info("keyspace").keys() == {"db3"}
    wrong = RedisQueue(url.replace("sesame", "secret"), max_jobs=1)
    opening = asyncio.create_task(wrong.open())
    await until(lambda: "cannot be used" in wrong.trouble)
    opening.cancel()
    await wrong.close()
    told = capfd.readouterr().err
    assert "queue trouble" in told
    assert not any(word in told for word in ("sesame", "secret"))


async def test_tls_with_an_authority_named_in_the_url(start, unused_tcp_port, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    if b"Bad directive" in subprocess.run([PROGRAM, "--tls-port", "x"], check=False, capture_output=True).stderr:  # noqa: ASYNC221
        pytest.skip(f"{PROGRAM} was built without TLS")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=timbre -addext subjectAltName=IP:127.0.0.1"
    await asyncio.to_thread(
        subprocess.run, [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    arguments = ["--tls-port", unused_tcp_port, "--tls-cert-file", certificate, "--tls-key-file", key]
    arguments += ["--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"]
    url = f"rediss://127.0.0.1:{unused_tcp_port}"
    start(*arguments, url=f"{url}?ssl_ca_certs={certificate}")
    async with queue_at(f"{url}?ssl_ca_certs={certificate}") as queue:
        assert (await queue.ask(job(1))).scores[0] == 2
    stranger = RedisQueue(url, max_jobs=1)
    opening = asyncio.create_task(stranger.open())
    await until(lambda: "cannot be used" in stranger.trouble)
    opening.cancel()
    await stranger.close()


async def test_sentinel_is_followed_to_the_new_master(start, unused_tcp_port_factory, tmp_path):
    ports = [unused_tcp_port_factory() for _ in range(3)]
    urls = [f"redis://127.0.0.1:{port}" for port in ports]
    master = start("--port", ports[0], url=urls[0])
    replica = start("--port", ports[1], "--replicaof", "127.0.0.1", ports[0], url=urls[1])
    await until(lambda: replica.client.info("replication")["master_link_status"] == "up", seconds=10)
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {ports[2]}\ndir {tmp_path}\nsentinel monitor timbre 127.0.0.1 {ports[0]} 1\n"
        "sentinel down-after-milliseconds timbre 500\nsentinel failover-timeout timbre 3000\n"
    )
    command = [PROGRAM, configuration, "--sentinel"]
    sentinel = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220 - it takes no time
    try:
        await asyncio.sleep(0.5)
        async with queue_at(f"redis+sentinel://127.0.0.1:{ports[2]}/timbre") as queue:
            assert (await queue.ask(job(1))).scores[0] == 2
            # Sentinel asks the master for its replicas every ten seconds.
            await until(lambda: "slave0" in sentinel_info(ports[2]), seconds=15)
            master.kill()
            await until(lambda: queue.trouble, seconds=5)
            begin = time.monotonic()
            await until(lambda: not queue.trouble, seconds=30)
            assert (await queue.ask(job(2))).scores[0] == 4
            assert time.monotonic() - begin < 30
    finally:
        sentinel.kill()
        sentinel.wait()


def sentinel_info(port):
    """What a sentinel knows of replicas, as text."""
    import redis

    with redis.Redis(port=port, protocol=2) as client:
        return "slave0" if client.execute_command("SENTINEL", "REPLICAS", "timbre") else ""
