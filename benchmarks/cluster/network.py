"""Machines as network namespaces on one bridge: they can be cut off, slowed down and made lossy.

The calling process must be in a namespace of its own already (`unshare --net`), as root: it holds
the bridge, and all of it is gone when the process ends.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

LAN = "10.77.0"
BRIDGE = "lan"


class Machine:
    """A namespace with one address, and the processes that were started in it."""

    def __init__(self, name: str, number: int, *, relayed: bool = False) -> None:
        """Join the bridge. relayed: by a link that `impair` can slow down."""
        self.name, self.address = name, f"{LAN}.{number}"
        self.processes: list[subprocess.Popen[Any]] = []
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])  # noqa: S607 - of util-linux
        _wait_for_namespace(self._holder.pid)
        self._port = f"p{number}"
        self._relay: subprocess.Popen[str] | None = None
        if relayed:
            self._relay = self._start_relay()
        else:
            pid = str(self._holder.pid)
            ip("link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", pid)
        ip("link", "set", self._port, "master", BRIDGE, "up")
        self._run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self._run("ip", "link", "set", device, "up")

    def start(self, *command: object, **options: Any) -> subprocess.Popen[Any]:
        """Start a process on this machine."""
        words = [*self._enter, *map(str, command)]
        process = subprocess.Popen(words, **options)  # noqa: S603 - of this benchmark
        self.processes.append(process)
        return process

    def cut(self) -> None:
        """Take it off the network, without a word to anybody."""
        ip("link", "set", self._port, "down")

    def mend(self) -> None:
        """Undo `cut`."""
        ip("link", "set", self._port, "up")

    def impair(self, *, delay_ms: float, loss: float) -> None:
        """Delay every packet to and from it, and lose a share of them; 0, 0: none."""
        assert self._relay is not None
        assert self._relay.stdin is not None
        self._relay.stdin.write(f"{delay_ms} {loss}\n")
        self._relay.stdin.flush()

    def close(self) -> None:
        """End everything on it."""
        for process in (*self.processes, self._relay, self._holder):
            if process is not None:
                process.kill()
                process.wait()

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--"]

    def _run(self, *command: str) -> None:
        subprocess.run([*self._enter, *command], check=True)  # noqa: S603 - of this benchmark

    def _start_relay(self) -> subprocess.Popen[str]:
        relay = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-m", "benchmarks.cluster.relay", self._port, str(self._holder.pid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert relay.stdout is not None
        if relay.stdout.readline() != "ready\n":
            raise RuntimeError("the relay does not start")
        return relay


def open_lan(number: int) -> str:
    """Make the bridge in this namespace; return this process' own address on it."""
    ip("link", "set", "lo", "up")
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("address", "add", f"{LAN}.{number}/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")
    return f"{LAN}.{number}"


def ip(*words: str) -> None:
    """Run the command `ip`. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True)  # noqa: S603, S607 - of this benchmark


def check_namespace() -> None:
    """Raise RuntimeError in a namespace that has a network, which must not be changed."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        raise RuntimeError("run it as root by `make cluster`, in a network namespace of its own")


def _wait_for_namespace(pid: int) -> None:
    own = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == own:
        pass
