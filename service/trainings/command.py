"""Runs `timbre` as a process of its own: what it loads never comes in here."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from common.errors import Late

TIMBRE = (sys.executable, "-P", "-m", "service.cli.main")
"""-P: the folder that it runs in holds no modules, whatever it holds."""
MAX_SAID = 4_000
"""Characters of an error that are passed on."""


class Ended(NamedTuple):
    """How a command has ended."""

    code: int
    output: str
    said: str
    """The first lines of what it wrote to stderr."""


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that a training needs besides those of the server."""
    return {"TIMBRE_DATA": str(folder), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


async def run_timbre(*arguments: str, folder: Path, limit_s: float) -> Ended:
    """Run a command in a folder and return its outcome. Raises Late after `limit_s`, OSError."""
    process = await asyncio.create_subprocess_exec(
        *TIMBRE,
        *arguments,
        cwd=folder,
        env=os.environ | environment(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limit_s):
            output, said = await process.communicate()
    except TimeoutError:
        raise Late(f"`timbre {arguments[0]}` took longer than {limit_s:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert process.returncode is not None  # it has ended
    return Ended(
        process.returncode,
        output.decode(errors="replace"),
        said.decode(errors="replace")[:MAX_SAID],
    )
