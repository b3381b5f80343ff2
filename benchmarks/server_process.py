"""Servers for benchmarks, in processes of their own, and what they cost."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.errors import TimbreError

READY_S = 60.0
UNBOUNDED = ("max_streams=100000", "max_streams_per_client=100000", "max_connections=100000")
"""Settings with which the machine, not a limit, bounds the number of streams."""


@contextmanager
def redis() -> Iterator[str]:
    """Yield the address of a private redis-server on a Unix socket. Raises TimbreError."""
    if not shutil.which("redis-server"):
        raise TimbreError(
            "there is no redis-server on this machine: run 'apt-get install redis-server'"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "redis-server",
            "--save",
            "",
            "--port",
            "0",
            "--dir",
            folder,
            "--unixsocket",
            f"{folder}/redis.sock",
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            yield f"unix://{folder}/redis.sock"
        finally:
            server.kill()
            server.wait()


@contextmanager
def served(
    options: list[str],
    *,
    through_redis: bool = False,
    lag: dict[str, float] | None = None,
    checkout: Path | None = None,
) -> Iterator[tuple[str, int]]:
    """Give address and process id of `timbre serve` with these options on a free port.

    checkout: of another version, with an environment in `.venv`; None: this one. lag: gets, once
    the server has ended, for how long its event loops did not turn, in ms, the worst of all
    gateways. Raises TimbreError with the server's last words if it does not get ready.
    """
    with ExitStack() as stack:
        if through_redis:
            options = ["--redis", stack.enter_context(redis()), *options]
        words = stack.enter_context(tempfile.TemporaryFile("w+"))
        port = free_port()
        bounds = [part for bound in UNBOUNDED for part in ("--set", bound)]
        call = "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))"
        python = str(checkout / ".venv/bin/python") if checkout else sys.executable
        command = [python, "-c", call, "serve", "--port", str(port), *bounds, *options]
        server = subprocess.Popen(command, stdout=words, stderr=words, cwd=checkout)  # noqa: S603
        try:
            url = f"http://127.0.0.1:{port}"
            if not ready(url, server):
                words.seek(0)
                raise TimbreError(f"the server did not get ready: {words.read()[-2_000:].strip()}")
            yield url, server.pid
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            if lag is not None:
                words.seek(0)
                lag.update(lag_of(words))


def lag_of(words: Iterable[str]) -> dict[str, float]:
    """Return the largest of each figure of loop lag that gateways logged at their end."""
    worst: dict[str, float] = {}
    for line in words:
        if " loop lag " in line:
            for name, value in re.findall(r"([\w.]+)=([\d.e+-]+)", line):
                worst[name] = max(worst.get(name, 0.0), float(value))
    return worst


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ready(
    url: str,
    server: subprocess.Popen[bytes] | subprocess.Popen[str],
    *,
    path: str = "/readyz",
    within_s: float = READY_S,
) -> bool:
    """Return whether a server answers its readiness in time."""
    until = time.monotonic() + within_s
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{url}{path}", timeout=5):  # noqa: S310 - own address
                return True
        except OSError:
            time.sleep(0.05)
    return False


def cost(pid: int) -> tuple[float, float]:
    """Return CPU seconds and resident MiB of a process and its children; zeros without /proc."""
    cpu = mib = 0.0
    for each in (pid, *children(pid)):
        try:
            fields = (
                Path(f"/proc/{each}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            )
        except OSError:
            continue
        cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        mib += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return cpu, mib


def children(pid: int) -> list[int]:
    """Return the ids of the processes below a process."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listing.read_text(encoding="utf-8").split()):
            found += [child, *children(child)]
    return found
