"""Clients of others: scripts that run in environments of their own and say what passed."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def python_of(pins):
    """The python of an environment with the packages of a file; made now unless it is there."""
    found = subprocess.run(
        [ROOT / "tools/peer-environment", pins],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert found.returncode == 0, f"{pins} cannot be installed: {found.stderr}"
    return found.stdout.strip()


async def calls(python, script, *arguments):
    """The calls that a script made, and the error of each that failed."""
    process = await asyncio.create_subprocess_exec(
        python, script, *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found = [json.loads(line) for line in output.decode().splitlines() if line[:1] == "{"]
    assert process.returncode == 0, output
    return {each["call"]: each["error"] for each in found}
