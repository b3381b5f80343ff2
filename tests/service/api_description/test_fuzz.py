"""schemathesis finds nothing: requests made from the description, all its checks, states too."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from models.store import DEFAULT_PATH
from service.auth.key_store import FileKeyStore
from service.auth.keys import SCOPES
from tests.helpers.server_process import BIN, server_process
from tests.service.helpers.keys import new_key

MODEL = "instruments-forest"
"""Named by the examples of the Open Inference Protocol, and fast."""
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SEED = int(os.environ.get("SEED", "1"))
CASES = float(os.environ.get("CASES", "1e4"))
"""Requests of the long test; `make fuzz` sets it."""
PROGRESS = os.environ.get("PROGRESS")
"""File in which the long test notes how far it is, to go on there when it is started again."""
EXAMPLES = 300
"""Of each of the operations, in one round; that makes about ten thousand requests."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of a model that the examples name: its address, and the text of a key."""
    folder = tmp_path_factory.mktemp("described")
    key, text = new_key(scopes=SCOPES, rate=1e6, streams=10)
    asyncio.run(FileKeyStore(folder / "keys.json").put(key))
    options = ("--keys", str(folder / "keys.json"), "--trainings", str(folder / "trainings"))
    options += ("--set", f"archive={folder / '%Y.sqlite'}")
    # It loads, unloads and promotes.
    models = folder / "artefacts"
    shutil.copytree(DEFAULT_PATH / MODEL, models / MODEL)
    with server_process("--artefacts", str(models), *options) as address:
        yield address, text


def run_schemathesis(server, folder, *, examples, seed=SEED):
    """Run schemathesis, which finds nothing; return the number of requests, and what it says."""
    address, key = server
    command = [BIN / "schemathesis", "--config-file", CONFIGURATION, "run"]
    command += [f"{address}/openapi.json", "--header", f"Authorization: Bearer {key}"]
    command += ["--seed", str(seed), "--max-examples", str(examples), "--checks", "all"]
    command += ["--continue-on-failure", "--no-color"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return int(re.search(r"(\d+) generated", ended.stdout.replace(",", ""))[1]), ended.stdout


def test_requests_from_the_description_find_nothing(server, tmp_path):
    count, said = run_schemathesis(server, tmp_path, examples=2)
    assert count >= 500
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ +{phase}", said), said


@pytest.mark.slow  # ten thousand requests, and a million by `make fuzz`
@pytest.mark.timeout(0)  # it goes on as long as it finds nothing
def test_ten_thousand_requests_from_the_description_find_nothing(server, tmp_path):
    """In rounds, each of a seed of its own: the memory of one grows with its requests."""
    seed, count = SEED, 0
    noted = Path(PROGRESS) if PROGRESS else tmp_path / "progress"
    if noted.exists():
        seed, count = json.loads(noted.read_text())
    while count < CASES:
        more, _ = run_schemathesis(server, tmp_path, examples=EXAMPLES, seed=seed)
        seed, count = seed + 1, count + more
        noted.write_text(json.dumps([seed, count]))
    noted.unlink()
