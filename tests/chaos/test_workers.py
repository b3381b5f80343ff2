"""Workers are killed and stopped, by a job too: every job ends in one answer or one error."""

import asyncio
import json
import os
import signal
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.errors import Failed
from service.cli import queue as queue_command
from service.queue.redis import RedisQueue
from service.queue.redis_keys import CLIP_JOBS, GROUP, LIVE_JOBS
from tests.chaos.conftest import LONG, returning
from tests.chaos.doubler import POISON
from tests.service.conftest import until
from tests.service.helpers.redis_server import start_redis
from tests.service.queue.test_contract import job

DOUBLER = ("-m", "tests.chaos.doubler")


@asynccontextmanager
async def queue_at(url):
    queue = RedisQueue(url, max_jobs=1_000)
    try:
        await queue.open()
        yield queue
    finally:
        await queue.close()


def nothing_left(client):
    return all(
        client.xlen(stream) == 0 and client.xpending(stream, GROUP)["pending"] == 0
        for stream in (LIVE_JOBS, CLIP_JOBS)
    )


async def test_a_worker_killed_in_the_middle_of_a_batch_loses_no_job(
    victim, redis_url, redis_server
):
    slow = victim(*DOUBLER, redis_url, 30)
    async with queue_at(redis_url) as queue:
        asked = [asyncio.create_task(queue.submit(job(n, live=n % 2 == 0))) for n in range(16)]
        await asyncio.to_thread(slow.until, "begins")
        slow.kill()
        victim(*DOUBLER, redis_url)
        answers = await asyncio.gather(*asked)
        assert [answer.scores[0] for answer in answers] == [2 * n for n in range(16)]
    assert nothing_left(redis_server.client)


async def test_all_workers_killed_and_the_next_one_does_the_work(victim, redis_url, redis_server):
    slow = [victim(*DOUBLER, redis_url, 30) for _ in range(2)]
    async with queue_at(redis_url) as queue:
        asked = [asyncio.create_task(queue.submit(job(n))) for n in range(40)]
        for each in slow:
            await asyncio.to_thread(each.until, "begins")
        for each in slow:
            each.kill()
        await until(lambda: "no worker" in queue.unavailable)
        victim(*DOUBLER, redis_url)
        answers = await asyncio.gather(*asked)
        assert sorted(answer.scores[0] for answer in answers) == [2 * n for n in range(40)]
        await until(lambda: not queue.unavailable)
    assert nothing_left(redis_server.client)


async def test_a_stopped_workers_jobs_are_done_once_and_it_may_come_back(
    victim, redis_url, redis_server
):
    stopped = victim(*DOUBLER, redis_url, 0.3)
    async with queue_at(redis_url) as queue:
        asked = [asyncio.create_task(queue.submit(job(n))) for n in range(8)]
        await asyncio.to_thread(stopped.until, "begins")
        async with returning(stopped.process.pid):
            stopped.signal(signal.SIGSTOP)
            other = victim(*DOUBLER, redis_url)
            answers = await asyncio.gather(*asked)
            assert [answer.scores[0] for answer in answers] == [2 * n for n in range(8)]
            await asyncio.sleep(10 if LONG else 0)
            stopped.signal(signal.SIGCONT)
            other.kill()
            assert (await queue.submit(job(100))).scores[0] == 200
            await until(lambda: nothing_left(redis_server.client))
    assert stopped.end() == 0


async def test_a_worker_told_to_leave_under_load_answers_what_it_took_and_leaves_the_rest(
    victim, redis_url, redis_server
):
    leaver = victim(*DOUBLER, redis_url, 0.2)
    async with queue_at(redis_url) as queue:
        asked = [asyncio.create_task(queue.submit(job(n))) for n in range(60)]
        await asyncio.to_thread(leaver.until, "begins")
        leaver.signal(signal.SIGTERM)
        assert await asyncio.to_thread(leaver.process.wait, 60) == 0
        assert 0 < sum(task.done() for task in asked) < 60
        # Nothing is left in its hands to be taken over.
        assert redis_server.client.xpending(LIVE_JOBS, GROUP)["pending"] == 0
        victim(*DOUBLER, redis_url)
        answers = await asyncio.gather(*asked)
        assert [answer.scores[0] for answer in answers] == [2 * n for n in range(60)]
    assert nothing_left(redis_server.client)


@pytest.mark.parametrize("kept", ["all", "what was there before the jobs"])
async def test_jobs_outlive_a_redis_that_is_killed_whatever_it_kept(victim, tmp_path_factory, kept):
    redis = start_redis(
        tmp_path_factory,
        *(["--appendonly", "yes"] if kept == "all" else ["--dbfilename", "dump.rdb"]),
    )
    try:
        slow = victim(*DOUBLER, redis.url, 0.1)
        async with queue_at(redis.url) as queue:
            if kept != "all":
                redis.client.save()
            asked = [asyncio.create_task(queue.submit(job(n, live=n % 2 == 0))) for n in range(60)]
            await asyncio.to_thread(slow.until, "begins", times=2)
            async with returning(slow.process.pid):
                redis.kill()
                redis.start()
                answers = await asyncio.gather(*asked)
                assert [answer.scores[0] for answer in answers] == [2 * n for n in range(60)]
                await until(lambda: nothing_left(redis.client))
    finally:
        redis.end()


@pytest.mark.parametrize("seconds", [pytest.param(3_600, marks=pytest.mark.slow), -3_600])
async def test_a_clock_that_is_set_loses_no_job(
    victim, clock, tmp_path_factory, monkeypatch, seconds
):
    redis = start_redis(tmp_path_factory)
    monkeypatch.delenv("LD_PRELOAD")
    try:
        workers = [victim(*DOUBLER, redis.url, 0.1) for _ in range(2)]
        for each in workers:
            await asyncio.to_thread(each.until, "worker ready")
        async with queue_at(redis.url) as queue:
            asked = []
            for n in range(100):
                # In the middle more wait than can be done until the workers look at the clock
                # again.
                for number in [n] if n != 50 else range(1_000, 1_160):
                    asked.append(asyncio.create_task(queue.submit(job(number))))  # noqa: PERF401
                await asyncio.sleep(0.02)
                assert not queue.unavailable
                if n == 50:
                    clock(seconds)
            assert abs(redis.client.time()[0] - time.time() - seconds) < 600
            answers = await asyncio.gather(*asked)
            assert all(answer.scores[0] == 2 * float(answer.job_id) for answer in answers)
        assert all(each.find(r"Redis clock changed by_s=-?3\.6e\+03") for each in workers)
    finally:
        redis.end()


async def test_a_job_that_ends_its_workers_is_buried_and_takes_no_other_along(
    victim, redis_url, redis_server, capsys
):
    worker = victim(*DOUBLER, redis_url)
    async with queue_at(redis_url) as queue:
        numbers = [1, 2, POISON, 3, 4]
        asked = [asyncio.create_task(queue.submit(job(n, live=False))) for n in numbers]
        deaths = 0
        while not asked[2].done():
            if worker.process.poll() is not None:
                deaths += 1
                worker = victim(*DOUBLER, redis_url)
            await asyncio.sleep(0.05)
        with pytest.raises(Failed, match="3 workers died"):
            await asked[2]
        others = [task for task in asked if task is not asked[2]]
        assert [answer.scores[0] for answer in await asyncio.gather(*others)] == [2, 4, 6, 8]
        assert deaths == 3
    assert nothing_left(redis_server.client)
    assert (
        await asyncio.to_thread(queue_command.main, ["dead", "--redis", redis_url, "--json"]) == 1
    )
    (letter,) = json.loads(capsys.readouterr().out)
    assert (letter["job"], letter["model"]) == (str(POISON), "doubler")


@pytest.mark.slow  # processes of every kind, under load
async def test_one_machine_keeps_its_workers_and_ends_them_last(victim, redis_url, artefacts):
    command = ("-m", "service.cli.main", "serve", "--port", 0, "--redis", redis_url, "--workers", 2)
    server = victim(*command, "--artefacts", artefacts)
    await asyncio.to_thread(server.until, "worker ready", times=2)
    await asyncio.to_thread(server.until, " ready url")
    pids = [int(match[1]) for match in server.find(r"worker started number=\d pid=(\d+)")]
    files = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    titles = {file.read_text().rstrip("\0 ") for file in files}
    assert titles == {"timbre: worker 0", "timbre: worker 1"}
    os.kill(pids[0], signal.SIGKILL)
    await asyncio.to_thread(server.until, "worker exited number=0")
    await asyncio.to_thread(server.until, "worker ready", times=3)
    assert await asyncio.to_thread(server.end) == 0
    ends = [line for line in server.log if "shutting down" in line or "worker stopped" in line]
    assert ["shutting down" in line for line in ends] == [True, False, False]
