"""A worker runs jobs, reports errors and stops on a signal: as an object and as the command."""

import asyncio
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import NotFound, TimbreError
from service.cli.worker import main
from service.queue.base import ClaimedJob, Job
from service.queue.redis import RedisQueue
from service.queue.redis_consumer import RedisConsumer
from service.server import worker as module
from service.server.worker import Worker, batches
from tests.service.conftest import until
from tests.service.helpers.claims import expire_claims
from tests.service.queue.test_contract import MS, Doubler, job


def claimed(name, *, model="a", version="1", shape=(2,), live=True):
    tensor = np.zeros(shape, np.float32)
    made = Job(
        id=name, model=model, version=version, tensor=tensor, deadline=0, live=live, stream="s"
    )
    return ClaimedJob(made, "g", None)


def test_what_one_call_can_run_runs_together_in_order_and_no_more_than_the_limit():
    jobs = [claimed("1"), claimed("2", model="b"), claimed("3"), claimed("4", version="2")]
    jobs += [claimed("5", shape=(3,)), claimed("6"), claimed("7")]
    found = [[each.job.id for each in batch] for batch in batches(jobs, limit=3)]
    assert found == [["1", "3", "6"], ["7"], ["2"], ["4"], ["5"]]
    assert batches([], limit=3) == []


@pytest.fixture
async def work(redis_url):
    """Start a worker on a model, and a queue for it."""
    ends = []

    async def start(model, *, find=None, heartbeat=lambda: None):
        worker = Worker(
            RedisConsumer(redis_url, name="w"),
            find or (lambda *_: model),
            max_batch=4,
            heartbeat=heartbeat,
        )
        working = asyncio.create_task(worker.run())
        queue = RedisQueue(redis_url, max_jobs=100)
        await queue.open()
        ends.append((queue, worker, working))
        return queue, worker, working

    yield start
    for queue, worker, working in ends:
        await queue.close()
        worker.shut_down()
        await working


async def test_an_error_of_the_model_reaches_the_gateway(work):
    def find(name, version):
        raise NotFound(f"no version {version!r} of {name!r}")

    queue, _, _ = await work(None, find=find)
    with pytest.raises(NotFound, match="no version '1' of 'doubler'"):
        await queue.submit(job(1))


async def test_a_fault_is_reported_by_its_job_and_not_by_its_traceback(work, capsys):
    queue, _, _ = await work(Doubler())
    with pytest.raises(TimbreError, match="log has it under -3") as caught:
        await queue.submit(job(-3))
    assert "negative" not in str(caught.value)
    assert "ArithmeticError: negative" in capsys.readouterr().err


async def test_shutting_down_finishes_claimed_jobs(work):
    model = Doubler()
    queue, worker, working = await work(model)
    model.open.clear()
    asked = asyncio.create_task(queue.submit(job(1)))
    await until(lambda: model.calls)
    worker.shut_down()
    await asyncio.sleep(20 * MS)
    assert not working.done()
    model.open.set()
    assert (await asked).scores[0] == 2
    await working


async def another_worker_finds_no_job(redis_server, redis_url, beats):
    """After three heartbeats of the worker "w", whose claims are old enough to be reclaimed."""
    expire_claims(redis_server.client, "w")
    count = len(beats)
    # Each is followed by a heartbeat that extends the claim.
    await until(lambda: len(beats) > count + 2)
    other = Doubler()
    await Worker(
        RedisConsumer(redis_url, name="r"), lambda *_: other, max_batch=4, heartbeat=lambda: None
    ).run(burst=True)
    assert other.calls == 0


async def test_a_slow_model_keeps_its_jobs_and_its_heartbeat(
    work, redis_server, redis_url, monkeypatch
):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr("service.queue.redis_consumer.RECLAIM_MS", 600_000)
    slow, beats = Doubler(), []
    queue, _, _ = await work(slow, heartbeat=lambda: beats.append(1))
    slow.open.clear()
    asked = asyncio.create_task(queue.submit(job(1)))
    await until(lambda: slow.calls)
    await another_worker_finds_no_job(redis_server, redis_url, beats)
    slow.open.set()
    assert (await asked).scores[0] == 2
    assert slow.calls == 1


class Slow(Doubler):
    """Says of each call how long it took, as if it had."""

    def __init__(self, monkeypatch, seconds):
        super().__init__()
        self.now, self.seconds = 0.0, seconds
        clock = SimpleNamespace(monotonic=time.monotonic, perf_counter=lambda: self.now)
        monkeypatch.setattr(module, "time", clock)

    def predict(self, batch):
        self.now += self.seconds * len(batch)
        return super().predict(batch)


@pytest.mark.parametrize(("seconds", "count"), [(0.125, 2), (0.001, 4), (9.0, 1)])
async def test_a_worker_claims_as_many_jobs_of_a_slow_model_as_it_soon_completes(
    redis_url, monkeypatch, seconds, count
):
    model = Slow(monkeypatch, seconds)
    worker = Worker(
        RedisConsumer(redis_url, name="w"), lambda *_: model, max_batch=4, heartbeat=lambda: None
    )
    queue = RedisQueue(redis_url, max_jobs=100)
    opening = asyncio.create_task(queue.open())
    await until(lambda: "no worker" in queue.unavailable)
    asked = [asyncio.create_task(queue.submit(job(n))) for n in range(20)]
    await until(lambda: len(queue._sender._sent) == 20)
    await worker.run(burst=True)
    assert [len(batch) for batch in model.batches[:4]] == [4, 4, 4, count]  # one may be a hiccup
    await asyncio.gather(*asked)
    opening.cancel()
    await queue.close()


async def test_what_was_claimed_and_waits_for_its_batch_is_not_reclaimed(
    work, redis_server, redis_url, monkeypatch
):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr("service.queue.redis_consumer.RECLAIM_MS", 600_000)
    slow, beats = Doubler(), []
    queue, _, _ = await work(slow, heartbeat=lambda: beats.append(1))
    slow.open.clear()
    first = asyncio.create_task(queue.submit(job(1)))
    await until(lambda: slow.calls)
    rest = [asyncio.create_task(queue.submit(job(n, size=n))) for n in (2, 3)]
    await until(lambda: len(queue._sender._sent) == 3)
    slow.open.set()
    await first
    slow.open.clear()
    await until(lambda: slow.calls == 2)
    await another_worker_finds_no_job(redis_server, redis_url, beats)
    slow.open.set()
    await asyncio.gather(*rest)
    assert slow.calls == 3


async def test_a_model_that_hangs_past_its_deadline_gets_no_heartbeat(work, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.02)
    model, beats = Doubler(), []
    queue, _, _ = await work(model, heartbeat=lambda: beats.append(1))
    model.open.clear()
    asked = asyncio.create_task(queue.submit(job(1)))
    await until(lambda: model.calls)
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + 3_600, perf_counter=time.perf_counter
    )
    monkeypatch.setattr(module, "time", clock)  # an hour later, and the model still hangs
    count = len(beats)
    await asyncio.sleep(100 * MS)
    assert len(beats) == count
    model.open.set()
    assert (await asked).scores[0] == 2


async def test_a_burst_ends_when_no_job_is_pending(redis_url):
    model = Doubler()
    queue = RedisQueue(redis_url, max_jobs=100)
    opening = asyncio.create_task(queue.open())
    await until(lambda: "no worker" in queue.unavailable)
    asked = [asyncio.create_task(queue.submit(job(n, live=n % 2 == 0))) for n in range(1, 12)]
    await until(lambda: len(queue._sender) == len(queue._sender._sent) == 11)
    await Worker(
        RedisConsumer(redis_url, name="w"), lambda *_: model, max_batch=4, heartbeat=lambda: None
    ).run(burst=True)
    assert [answer.scores[0] for answer in await asyncio.gather(*asked)] == [
        2 * n for n in range(1, 12)
    ]
    opening.cancel()
    await queue.close()


async def test_late_jobs_are_not_run(redis_url):
    model = Doubler()
    queue = RedisQueue(redis_url, max_jobs=100)
    opening = asyncio.create_task(queue.open())
    await until(lambda: "no worker" in queue.unavailable)
    with pytest.raises(TimbreError):
        await queue.submit(job(1, seconds=20 * MS))
    await Worker(
        RedisConsumer(redis_url, name="w"), lambda *_: model, max_batch=4, heartbeat=lambda: None
    ).run(burst=True)
    assert model.calls == 0
    opening.cancel()
    await queue.close()


def test_the_command_runs_pending_jobs_with_the_shipped_kind_of_model(redis_url, artefacts, capfd):
    assert main(["--redis", redis_url, "--artefacts", str(artefacts), "--burst"]) == 0
    assert "models=toy:2,toy-net:1" in capfd.readouterr().err


def test_the_command_obeys_sigterm_and_carries_a_title(redis_url, artefacts):
    command = [
        sys.executable,
        "-m",
        "service.cli.main",
        "worker",
        "--redis",
        redis_url,
        "--artefacts",
        artefacts,
    ]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "worker ready" in line:
                break
        title = subprocess.run(
            ["ps", "-o", "args=", str(process.pid)], capture_output=True, text=True, check=True
        )
        assert title.stdout.strip() == "timbre: worker"
        process.send_signal(signal.SIGTERM)
        assert "worker stopped" in process.stderr.read()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stderr.close()


def test_without_an_artefact_the_command_fails_with_a_message(redis_url, tmp_path, capfd):
    assert main(["--redis", redis_url, "--artefacts", str(tmp_path)]) == 1
    assert "no artefact" in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--redis", "localhost"], ["--redis", "redis://h", "--set", "max_batch=0"]]
)
def test_invalid_arguments_are_rejected_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("timbre worker: ")


def test_without_a_url_it_exits_with_2(capsys):
    assert main([]) == 2
    assert "TIMBRE_REDIS" in capsys.readouterr().err
