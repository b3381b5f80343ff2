"""Gateways, workers, Redis with a replica and Sentinels, haproxy: as deploy/ has them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from benchmarks.cluster.network import LAN, Machine
from common.strict_json import to_json

ROOT = Path(__file__).parents[2]
MODEL = "instruments-forest"
PASSWORD = "cluster"  # noqa: S105 - of a network that nobody else reaches
SERVICE = "timbre"
LONGEST_S = 300.0
"""How long anything may take to start or to change."""
SENTINELS = (f"{LAN}.31", f"{LAN}.32", f"{LAN}.33")
HOSTS = ",".join(f"{address}:26379" for address in SENTINELS)
REDIS = f"redis+sentinel://timbre:{PASSWORD}@{HOSTS}/{SERVICE}"
BALANCER = f"http://{LAN}.1:8000"


class Cluster:
    """Nine machines; the balancer runs where the clients are."""

    def __init__(self, folder: Path) -> None:
        """folder: for logs, data and each machine's copy of the models."""
        self.folder = folder
        self._logs: list[IO[str]] = []
        self.gateways = [Machine(f"g{n}", 10 + n, relayed=n == 2) for n in (1, 2, 3)]
        self.workers = [Machine(f"w{n}", 20 + n) for n in (1, 2, 3)]
        self.stores = [Machine(f"r{n}", 30 + n) for n in (1, 2, 3)]
        self._balancer: subprocess.Popen[Any] | None = None
        for machine in self.gateways + self.workers:
            own = folder / machine.name / "artefacts" / MODEL
            shutil.copytree(ROOT / "models" / "artefacts" / MODEL, own)

    def start(self) -> None:
        """Start everything; gateways are ready in the end."""
        for machine in self.stores[:2]:
            self.start_redis(machine)
        for machine in self.stores:
            self._start_sentinel(machine)
        for machine in self.workers:
            self.start_worker(machine)
        for machine in self.gateways:
            self.start_gateway(machine)
        self._balancer = subprocess.Popen(  # noqa: S603
            ["/usr/sbin/haproxy", "-f", str(ROOT / "deploy/haproxy/timbre.cfg")],
            stdout=self._log("haproxy"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_until(_balancer_answers, what="haproxy ready")

    def start_redis(self, machine: Machine) -> None:
        """Start a Redis with the shipped settings and users; the second is a replica."""
        folder = self.folder / machine.name
        folder.mkdir(exist_ok=True)
        shipped = (ROOT / "deploy" / "redis" / "users.acl").read_text(encoding="utf-8")
        users = folder / "users.acl"
        users.write_text(re.sub(r">\w+_PASSWORD", f">{PASSWORD}", shipped), encoding="utf-8")
        # Sentinel writes its decisions into it.
        config = folder / "redis.conf"
        if not config.exists():
            lines = [
                f"include {ROOT}/deploy/redis/timbre.conf", f"aclfile {users}", f"dir {folder}",
                "masteruser replica", f"masterauth {PASSWORD}",
            ]  # fmt: skip
            lines += [f"replicaof {LAN}.31 6379"] * (machine is not self.stores[0])
            config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        log = self._log(machine.name)
        machine.start("redis-server", config, stdout=log, stderr=subprocess.STDOUT)

    def _start_sentinel(self, machine: Machine) -> None:
        folder = self.folder / f"{machine.name}-sentinel"
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port 26379\ndir {folder}\n"
            f"sentinel monitor {SERVICE} {LAN}.31 6379 2\n"
            f"sentinel auth-user {SERVICE} sentinel\n"
            f"sentinel auth-pass {SERVICE} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {SERVICE} 2000\n"
            f"sentinel failover-timeout {SERVICE} 10000\n",
            encoding="utf-8",
        )
        log = self._log(folder.name)
        machine.start("redis-server", config, "--sentinel", stdout=log, stderr=subprocess.STDOUT)

    def start_worker(self, machine: Machine) -> None:
        """Start a worker."""
        self._start_timbre(machine, "worker")

    def start_gateway(self, machine: Machine) -> None:
        """Start a gateway, and wait until it is ready."""
        begin = self.log_of(machine).count(" ready url=")
        self._start_timbre(
            machine, "serve", "--host", machine.address, "--port", "8000", "--workers", "0",
            "--keys", "redis",
        )  # fmt: skip
        wait_until(
            lambda: self.log_of(machine).count(" ready url=") > begin, what=f"{machine.name} ready"
        )

    def _start_timbre(self, machine: Machine, *command: str) -> None:
        folder = self.folder / machine.name
        words = [sys.executable, "-m", "service.cli.main", *command, "--redis", REDIS]
        # Nine machines share the cores of one: what takes a second takes many.
        words += ["--artefacts", str(folder / "artefacts"), "--set", "load_timeout=300"]
        log = self._log(machine.name)
        machine.start(*words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def drain(self, machine: Machine) -> None:
        """Ask a gateway to leave, and wait until it has."""
        process = machine.processes.pop()
        process.send_signal(signal.SIGTERM)
        if process.wait(LONGEST_S):
            raise RuntimeError(f"{machine.name} ended with {process.returncode}")

    def kill_redis(self, machine: Machine) -> None:
        """End a Redis as the loss of its machine does, but for its Sentinel."""
        process = machine.processes.pop(0)
        process.kill()
        process.wait()

    def put_version(self, machine: Machine, version: str) -> None:
        """Put the same model in place on a machine as another version."""
        folder = self.folder / machine.name / "artefacts" / MODEL
        newest = max(each for each in folder.iterdir() if each.name.isdigit())
        draft = folder / f".draft-{version}"
        shutil.copytree(newest, draft)
        path = draft / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8")) | {"version": version}
        path.write_text(to_json(manifest), encoding="utf-8")  # the golden scores stay
        draft.rename(folder / version)

    def log_of(self, machine: Machine) -> str:
        """Return what a machine has logged."""
        path = self.folder / f"{machine.name}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _log(self, name: str) -> IO[str]:
        log = (self.folder / f"{name}.log").open("a", encoding="utf-8")
        self._logs.append(log)
        return log

    def close(self) -> None:
        """End everything."""
        if self._balancer is not None:
            self._balancer.kill()
            self._balancer.wait()
        for machine in (*self.gateways, *self.workers, *self.stores):
            machine.close()
        for log in self._logs:
            log.close()


def _balancer_answers() -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{BALANCER}/readyz") as response:  # noqa: S310
        return bool(response.status == HTTPStatus.OK)
    return False


def wait_until(true: Callable[[], bool], *, what: str) -> None:
    """Return once it holds. Raises TimeoutError."""
    until = time.monotonic() + LONGEST_S
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {LONGEST_S:.0f} s")
        time.sleep(0.05)
