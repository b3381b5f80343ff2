"""`make upgrade`: gateways and workers of an earlier commit beside those of this one, over Redis.

    .venv/bin/python -m benchmarks.cluster.upgrade [--ref REF] [--streams 4] [--seconds 8]
        [--json benchmarks/results/upgrade.json]

Live streams and clips go on while each side is replaced by the other version, one process after the
other. Prints a table; exits with 1 when a window or a clip is not accounted for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aiohttp import ServerDisconnectedError

from benchmarks import measure, server_process
from benchmarks.cluster.deployment import ROOT
from benchmarks.cluster.load import Load
from benchmarks.reporting import results, tables
from common.errors import Busy, TimbreError
from service.client import Client

MODELS = ("instruments-forest", "instruments")
"""Tensors of 26 numbers, and of 45 kB."""
BACK = "HEAD~30"
LONGEST_S = 120.0
RETRY_S = 0.2
SOUND = ROOT / "examples" / "quartet.ogg"
HEADS = {"what": "gateways, workers", "answered": "windows answered"}
Row = dict[str, Any]


def git(*arguments: str) -> str:
    """Return what git prints. Raises TimbreError."""
    done = subprocess.run(  # noqa: S603 - ours
        ["git", *arguments],  # noqa: S607 - that of the user
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise TimbreError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def earlier() -> str:
    """Return what an upgrade comes from: the last tag, else thirty commits ago."""
    return git("tag", "--sort=-creatordate", "--merged", "HEAD").partition("\n")[0] or BACK


def built(ref: str, folder: Path) -> Path:
    """Return a folder with the unpacked wheel of a commit. Raises TimbreError."""
    source, unpacked = folder / "source", folder / "unpacked"
    source.mkdir(parents=True)
    git("archive", "--output", str(folder / "source.tar"), ref)
    for command in (
        ["tar", "--extract", "--file", folder / "source.tar", "--directory", source],
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, source],
    ):
        done = subprocess.run(  # noqa: S603 - ours
            list(map(str, command)), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise TimbreError(f"the wheel of {ref} cannot be built: {done.stderr[-2_000:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    return unpacked


class Deployment:
    """Two gateways on ports of their own and two workers, each of either version."""

    def __init__(self, redis: str, artefacts: Path, folder: Path) -> None:
        self._redis, self._artefacts, self._folder = redis, artefacts, folder
        self.ports = [server_process.free_port() for _ in range(2)]
        self._gateways: dict[int, subprocess.Popen[str]] = {}
        self._workers: list[subprocess.Popen[str]] = []
        self._logs: list[IO[str]] = []

    @property
    def urls(self) -> list[str]:
        """The addresses of the gateways."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def workers_of(self, code: Path) -> None:
        """Start workers of a version, then end the others, one at a time."""
        before, self._workers = self._workers, []
        for at in range(2):
            worker, log = self._start(code, "worker")
            self._workers.append(worker)
            until = time.monotonic() + LONGEST_S
            while " worker ready " not in Path(log.name).read_text(encoding="utf-8"):
                if worker.poll() is not None or time.monotonic() > until:
                    raise TimbreError(f"a worker of {code} does not start: see {log.name}")
                time.sleep(RETRY_S)
            for old in before[at : at + 1]:
                _end(old)

    def gateways_of(self, code: Path) -> None:
        """Replace the gateways by those of a version, one at a time, each on its port."""
        for port, url in zip(self.ports, self.urls, strict=True):
            if port in self._gateways:
                _end(self._gateways.pop(port))
            gateway, log = self._start(code, "serve", "--port", str(port), "--workers", "0")
            self._gateways[port] = gateway
            if not server_process.ready(url, gateway, within_s=LONGEST_S):
                raise TimbreError(f"a gateway of {code} does not get ready: see {log.name}")

    def _start(self, code: Path, *command: str) -> tuple[subprocess.Popen[str], IO[str]]:
        log = (self._folder / f"{len(self._logs)}-{command[0]}.log").open("w", encoding="utf-8")
        self._logs.append(log)
        words = [sys.executable, "-m", "service.cli.main", *command, "--redis", self._redis]
        words += ["--artefacts", str(self._artefacts), "--set", f"models={','.join(MODELS)}"]
        process = subprocess.Popen(  # noqa: S603 - ours
            words,
            cwd=code,
            env=os.environ | {"PYTHONPATH": str(code)},
            stdout=log,
            stderr=log,
            text=True,
        )
        return process, log

    def close(self) -> None:
        """End everything."""
        for process in (*self._gateways.values(), *self._workers):
            process.kill()
            process.wait()
        for log in self._logs:
            log.close()


def _end(process: subprocess.Popen[str]) -> None:
    """End a process in order. Raises TimbreError if it does not end well."""
    process.send_signal(signal.SIGTERM)
    if code := process.wait(LONGEST_S):
        raise TimbreError(f"{' '.join(map(str, process.args))} ended with {code}")  # type: ignore[arg-type]


class Clips:
    """A clip after the other to each gateway, sent again where the gateway is away."""

    def __init__(self, urls: list[str]) -> None:
        self.answered = 0
        self.wrong: list[str] = []
        """Errors but those of a gateway that is away or not ready."""
        self.cut = 0
        """Connections that ended without an answer, as of a gateway that had not accepted them."""
        self._expected: dict[str, object] = {}
        self._over = asyncio.Event()
        self._tasks = [asyncio.create_task(self._send(Client(url))) for url in urls]

    async def _send(self, client: Client) -> None:
        while not self._over.is_set():
            for model in MODELS:
                try:
                    answer = await client.classify(SOUND, model=model)
                except (TimbreError, OSError) as error:
                    if getattr(error, "status", 0) != Busy.status:
                        self.wrong.append(str(error))
                    elif isinstance(error.__cause__, ServerDisconnectedError):
                        self.cut += 1
                    await asyncio.sleep(RETRY_S)
                    continue
                labels = [window["labels"] for window in answer["windows"]]
                if self._expected.setdefault(model, labels) != labels:
                    self.wrong.append(f"{model}: other labels than before")
                self.answered += 1
            await asyncio.sleep(RETRY_S)

    async def finish(self) -> None:
        """End after the clips that are on their way."""
        self._over.set()
        await asyncio.gather(*self._tasks)


async def run(
    deployment: Deployment, old: Path, new: Path, given: argparse.Namespace
) -> tuple[list[Row], str, bool]:
    """Return the rows, what became of all, and whether everything is accounted for."""
    await asyncio.to_thread(deployment.workers_of, old)
    await asyncio.to_thread(deployment.gateways_of, old)
    loads = [
        Load(given.streams, url=url, model=model) for url in deployment.urls for model in MODELS
    ]
    for load in loads:
        await load.start()
    clips = Clips(deployment.urls)
    rows = []
    for name, side, code in (
        ("old, old", None, old),
        ("old, new", deployment.workers_of, new),
        ("new, new", deployment.gateways_of, new),
        ("new, old", deployment.workers_of, old),
        ("old, old, rolled back", deployment.gateways_of, old),
    ):
        before, sent = [load.totals() for load in loads], clips.answered
        if side:
            await asyncio.to_thread(side, code)
        await asyncio.sleep(given.seconds)
        for load in loads:
            load.check()
        since = [load.totals().since(last) for load, last in zip(loads, before, strict=True)]
        row = {
            "what": name,
            "answered": sum(each.answered for each in since),
            "dropped": sum(sum(each.dropped.values()) for each in since),
            "reconnects": sum(each.reconnects for each in since),
            "clips": clips.answered - sent,
        }
        print(*row.values(), file=sys.stderr, flush=True)
        rows.append(row)
    await clips.finish()
    for load in loads:
        await load.finish()
    return rows, *account_of(loads, clips)


def account_of(loads: list[Load], clips: Clips) -> tuple[str, bool]:
    """Return what became of all, and whether each window and clip is accounted for."""
    accounts = [
        (account, sent)
        for load in loads
        for account, sent in zip(load.accounts, load.samples, strict=True)
    ]
    expected = sum(len(account.expected(sent)) for account, sent in accounts)
    lost = sum(account.unaccounted(sent) for account, sent in accounts)
    twice = sum(account.answered_twice for account, _ in accounts)
    told = (
        f"{len(accounts)} streams, {expected} windows of their sound: {lost} unaccounted for, "
        f"{twice} answered twice; {clips.answered} clips answered, {len(clips.wrong)} wrongly, "
        f"{clips.cut} cut off. {' '.join(sorted(set(clips.wrong)))}"
    ).strip()
    return told, not (lost or twice or clips.wrong) and clips.answered > 0


@contextmanager
def deployed(ref: str, folder: Path) -> Iterator[tuple[Deployment, Path]]:
    """Give a deployment that is not started yet, and the earlier version."""
    old = built(ref, folder / "old")
    with server_process.redis() as redis:
        deployment = Deployment(redis, old / "models" / "artefacts", folder)
        try:
            yield deployment, old
        finally:
            deployment.close()


def main(arguments: list[str] | None = None) -> int:
    """Return 0, or 1 when something is missing."""
    parser = argparse.ArgumentParser(prog="benchmarks.cluster.upgrade", description=__doc__)
    parser.add_argument("--ref", help="commit that is upgraded from (last tag, else 30 commits)")
    parser.add_argument("--streams", type=int, default=4, help="of each gateway and model (4)")
    parser.add_argument("--seconds", type=float, default=8, help="of each phase (8)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="logs (a temporary folder)")
    results.add_option(parser)
    given = parser.parse_args(arguments)
    results.check_option(parser, given.json)
    ref, before = git("rev-parse", "--short", given.ref or earlier()), measure.machine()
    with tempfile.TemporaryDirectory(prefix="timbre-upgrade-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with deployed(ref, folder) as (deployment, old):
            rows, note, whole = asyncio.run(run(deployment, old, ROOT, given))
    report = results.document(
        "upgrade",
        command=command_of(ref, given),
        settings={"ref": ref, "streams": given.streams, "seconds": given.seconds},
        rows=rows,
        missed=[] if whole else [note],
        machine=before,
        heads=HEADS,
        note=f"Old is commit {ref}, new is this one. {note}",
    )
    tables.publish(given.json, report)
    return 0 if whole else 1


def command_of(ref: str, given: argparse.Namespace) -> str:
    """Return the command line that measures the same again, from the same commit."""
    numbers = ("--streams", f"{given.streams}", "--seconds", f"{given.seconds:g}")
    words = ("-m", "benchmarks.cluster.upgrade", "--ref", ref, *numbers)
    return shlex.join((".venv/bin/python", *words))


if __name__ == "__main__":
    raise SystemExit(main())
