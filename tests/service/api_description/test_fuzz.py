"""schemathesis finds nothing: requests made from the description, all its checks, states too."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest

from service.auth.key_store import FileKeyStore
from service.auth.keys import SCOPES
from tests.helpers.server_process import BIN, server_process
from tests.service.helpers.keys import new_key
from tests.service.helpers.versions import copied

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SEED = os.environ.get("SEED", "1")
CASES = float(os.environ.get("CASES", "1e4"))
"""Requests of the long test; `make fuzz` sets it."""
EXAMPLES_OF_A_CASE = 1 / 15
"""Examples asked for are those of each of the operations."""


@pytest.fixture(scope="module")
def server(artefacts, tmp_path_factory):
    """A server of the toy models with keys and trainings: its address, and the text of a key."""
    folder = tmp_path_factory.mktemp("described")
    key, text = new_key(scopes=SCOPES, rate=1e6, streams=10)
    asyncio.run(FileKeyStore(folder / "keys.json").put(key))
    options = ("--keys", str(folder / "keys.json"), "--trainings", str(folder / "trainings"))
    # It loads, unloads and promotes.
    models = copied(artefacts, folder)
    with server_process("--artefacts", str(models), *options) as address:
        yield address, text


def run_schemathesis(server, folder, *, examples):
    """Run schemathesis, which finds nothing; return the number of requests, and what it says."""
    address, key = server
    command = [BIN / "schemathesis", "--config-file", CONFIGURATION, "run"]
    command += [f"{address}/openapi.json", "--header", f"Authorization: Bearer {key}"]
    command += ["--seed", SEED, "--max-examples", str(examples), "--checks", "all"]
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
def test_ten_thousand_requests_from_the_description_find_nothing(server, tmp_path):
    count, _ = run_schemathesis(
        server, tmp_path, examples=max(1, round(CASES * EXAMPLES_OF_A_CASE))
    )
    assert count >= CASES
