"""`timbre queue` shows the state of the queue in Redis, as text and as JSON."""

import asyncio
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from common.terminal import escape
from service.cli.queue import main
from service.queue.base import Job
from service.queue.codec import encode_job
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import CLIP_JOBS, DEAD_LETTERS, LIVE_JOBS


@pytest.fixture
async def filled(redis_server, redis_url):
    """One worker that holds one of three live jobs, a clip, and two dead letters."""
    tensor = np.zeros(26, np.float32)
    data = encode_job(
        Job(id="j1", model="toy", version="2", tensor=tensor, deadline=9, live=True, stream="s"),
        reply_to="g",
        now=0,
    )
    for stream in (LIVE_JOBS, LIVE_JOBS, LIVE_JOBS, CLIP_JOBS):
        redis_server.client.xadd(stream, {"job": data})
    redis_server.client.xadd(
        DEAD_LETTERS, {"job": data, "why": "3 workers ended", "stream": LIVE_JOBS, "worker": "w"}
    )
    redis_server.client.xadd(
        DEAD_LETTERS, {"job": b"junk", "why": "no job", "stream": LIVE_JOBS, "worker": "w"}
    )
    worker = RedisConsumer(redis_url, name="w")
    await worker.open()
    worker._live_only = True
    await worker.claim(1, wait_s=0)
    yield redis_url
    await worker._redis.aclose()


async def run(*arguments):
    """Away from this loop, for the command has its own."""
    return await asyncio.to_thread(main, list(arguments))


async def test_status_counts_pending_and_claimed_jobs_and_lists_workers(filled, capsys):
    assert await run("status", "--redis", filled, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["jobs"]["live"]["waiting"], found["jobs"]["live"]["held"]) == (2, 1)
    assert (found["jobs"]["clips"]["waiting"], found["jobs"]["clips"]["held"]) == (1, 0)
    assert 0 <= found["jobs"]["live"]["oldest_s"] < 5
    assert [(worker["name"], worker["held"]) for worker in found["workers"]] == [("w", 1)]
    assert found["dead"] == 2
    await run("status", "--redis", filled)
    told = capsys.readouterr().out
    assert "2 pending, 1 claimed" in told
    assert re.search(r"w: seen \d+\.\d s ago, 1 jobs claimed", told)


async def test_jobs_of_a_killed_worker_are_shown_as_claimed_by_a_lost_one(
    filled, redis_server, capsys
):
    redis_server.client.zrem("{timbre}:workers", "w")
    assert await run("status", "--redis", filled) == 0
    assert "w: lost, 1 jobs claimed" in capsys.readouterr().out


async def test_dead_letters_are_listed_with_their_reason(filled, capsys):
    assert await run("dead", "--redis", filled, "--json") == 1
    junk, letter = json.loads(capsys.readouterr().out)
    assert (junk["job"], letter["job"], letter["model"], letter["shape"]) == (
        "not a job",
        "j1",
        "toy",
        [26],
    )
    assert letter["why"] == "3 workers ended"
    await run("dead", "--redis", filled)
    assert "j1  toy:2 [26]  3 workers ended" in capsys.readouterr().out


async def test_dead_letters_can_be_deleted(filled, capsys):
    assert await run("clear", "--redis", filled) == 0
    assert capsys.readouterr().out == "2 dead letters deleted\n"
    assert await run("dead", "--redis", filled) == 0
    assert await run("status", "--redis", filled, "--json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["dead"], found["jobs"]["live"]["held"]) == (0, 1)


def test_an_empty_queue_without_workers_is_reported(redis_url, capsys):
    assert main(["status", "--redis", redis_url]) == 1
    assert "none" in capsys.readouterr().out
    assert main(["dead", "--redis", redis_url]) == 0
    assert "no dead letters" in capsys.readouterr().out


def test_the_exit_code_is_3_without_redis_and_2_for_invalid_arguments(tmp_path, capsys):
    assert main(["status", "--redis", f"unix://{tmp_path}/none"]) == 3
    assert main(["status", "--redis", "nonsense"]) == 2
    assert "timbre queue: " in capsys.readouterr().err


def test_the_url_may_come_from_the_environment_and_is_required(redis_url, monkeypatch, capsys):
    assert main(["dead"]) == 2
    assert "--redis URL, or TIMBRE_REDIS" in capsys.readouterr().err
    monkeypatch.setenv("TIMBRE_REDIS", redis_url)
    assert main(["dead"]) == 0
    monkeypatch.setenv("TIMBRE_REDIS", "nonsense")
    assert main(["dead"]) == 2
    assert main(["dead", "--redis", redis_url]) == 0


def test_an_empty_command_line_is_wrong_usage():
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


FORGED = "x\x1b[31m\x9b2J\u202e\nfalse line"


async def test_what_redis_holds_is_escaped(redis_server, redis_url, capsys):
    tensor = np.zeros(26, np.float32)
    made = Job(
        id=FORGED, model=FORGED, version=FORGED, tensor=tensor, deadline=9, live=True, stream="s"
    )
    letter = {"job": encode_job(made, reply_to="g", now=0), "why": FORGED, "worker": FORGED}
    redis_server.client.xadd(DEAD_LETTERS, {**letter, "stream": LIVE_JOBS})
    sound = encode_job(replace(made, id="j1", model="toy", version="2"), reply_to="g", now=0)
    redis_server.client.xadd(LIVE_JOBS, {"job": sound})
    worker = RedisConsumer(redis_url, name=FORGED)
    await worker.open()
    worker._live_only = True
    await worker.claim(1, wait_s=0)
    try:
        for what in ("dead", "status"):
            await run(what, "--redis", redis_url)
            told = capsys.readouterr().out
            assert escape(FORGED) in told
            assert not any(control in told for control in "\x1b\x9b\u202e")
            assert "\nfalse" not in told
    finally:
        await worker._redis.aclose()
