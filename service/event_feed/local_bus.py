"""The events of the gateways of one machine: each has a datagram socket in a common folder."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from common.mapping import parse_json
from common.strict_json import to_json
from service.event_feed.feed import Deliver, Published

MAX_BYTES = 65_536


class LocalBus:
    """Sends to every gateway of the folder, this one included."""

    def __init__(self, folder: Path, *, number: int) -> None:
        """number: of this gateway; its socket of an earlier process is replaced."""
        self._folder, self._path = folder, folder / f"{number}.sock"
        self._socket: socket.socket | None = None
        self._sent = 0
        self._last: dict[str, int] = {}
        """Number of the last message by process: a gap in them is what did not arrive."""

    async def open(self, deliver: Deliver) -> None:
        """Bind the socket and deliver what it receives. Raises OSError."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._receive, deliver)

    def send(self, event: Published) -> None:
        """Send an event; a gateway whose buffer is full tells its followers that it misses one."""
        self._sent += 1
        origin = event.id.split("-")[1]
        values = {"id": event.id, "event": event.data, "kind": event.kind}
        message = to_json({"from": origin, "number": self._sent, **values})
        for path in self._folder.glob("*.sock"):
            # A process that has ended leaves its socket behind.
            with suppress(BlockingIOError, ConnectionRefusedError, FileNotFoundError):
                assert self._socket  # open
                self._socket.sendto(message.encode(), str(path))

    def _receive(self, deliver: Deliver) -> None:
        assert self._socket  # a reader is there
        with suppress(BlockingIOError):
            while True:
                message = parse_json(self._socket.recv(MAX_BYTES), error=ValueError)
                last = self._last.get(message["from"], message["number"] - 1)
                if missing := message["number"] - last - 1:
                    deliver(Published("", {"count": missing}))
                self._last[message["from"]] = message["number"]
                deliver(Published(message["id"], message["event"], message["kind"]))

    async def close(self) -> None:
        """Remove the socket."""
        found, self._socket = self._socket, None
        if found:
            asyncio.get_running_loop().remove_reader(found)
            found.close()
            with suppress(FileNotFoundError):
                self._path.unlink()
