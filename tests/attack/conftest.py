"""A real server and hostile clients. `make attack` sets ATTACKS: how many of each kind."""

import json
import os
import random
import shutil
from contextlib import contextmanager

import pytest

from tests.chaos.conftest import Victim, handles, resident
from tests.models.colours import write_colours
from tests.service.conftest import artefacts, redis_server, redis_url, tone, wav  # noqa: F401
from tests.service.helpers.problems import is_problem

ATTACKS = int(os.environ.get("ATTACKS", "150"))
"""Short in `make test`."""
SEED = int(os.environ.get("SEED", "1"))
GROWTH = 300 * 2**20
"""Bytes that a server may keep of what is decoded at one time (BEHAVIOUR.md)."""
HANDLES = 16
GOOD = wav(tone(2))


@pytest.fixture(scope="session")
def folder(artefacts, tmp_path_factory):  # noqa: F811
    """The toy models of sound, and those of pictures."""
    path = tmp_path_factory.mktemp("attack") / "artefacts"
    shutil.copytree(artefacts, path)
    return write_colours(path)


@pytest.fixture
def chance():
    """Random numbers; SEED=N gives others."""
    return random.Random(SEED)


@pytest.fixture
def told(capsys):
    """Print counts past pytest's capture."""

    def tell(what, counts):
        shown = ", ".join(f"{key} {count}" for key, count in sorted(counts.items(), key=str))
        with capsys.disabled():
            print(f"\n{what}, seed {SEED}: {sum(counts.values())} ({shown})")  # noqa: T201

    return tell


@contextmanager
def attacked(*options, workers=0):
    """A server process: it yields its address and its log, and must be as well after as before."""
    server = Victim("-m", "service.cli.main", "serve", "--port", 0, *options)
    try:
        address = server.until(r" ready url=(http://\S+)")[0][1]
        if workers:
            server.until("worker ready", times=workers)
        pid = server.process.pid
        held, size = handles(pid), resident(pid)
        yield address, server
        assert handles(pid) <= held + HANDLES
        assert resident(pid) <= size + GROWTH
    finally:
        code = server.end()
    log = "".join(server.log)
    assert code == 0, log
    assert "Traceback" not in log, log[log.index("Traceback") :][:4_000]


def strict(text):
    """Read JSON that has no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


async def check_response(response):
    """Return the status of a response, which is a result or a problem and no fault."""
    answer = strict(await response.text())
    assert response.status < 500, answer
    if response.status != 200:
        assert is_problem(response.status, answer, response.headers)
    return response.status


async def still_works(http, address):
    """Whatever was sent before, a good clip is answered well."""
    async with http.post(f"{address}/v1/models/toy/classify", data=GOOD) as response:
        assert (response.status, (await response.json())["labels"]) == (200, ["tone"])
