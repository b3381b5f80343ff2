"""Tells systemd that the service is ready, alive or stopping, where its unit asks (Type=notify)."""

from __future__ import annotations

import os
import socket

from service.log import FailureLog

LONGER = "EXTEND_TIMEOUT_USEC=30000000"
"""A busy machine may take minutes to load the models: 30 s more, counted from each message."""


class Systemd:
    """The service manager of this process; without one, nothing is sent."""

    def __init__(self) -> None:
        """Take its address out of the environment: processes that are started later have none."""
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        self._starting = True
        self._failure = FailureLog("systemd not reached", "systemd reached again")

    @property
    def waits(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    def ready(self) -> None:
        """Say that the start is complete; the watchdog counts from now."""
        self._starting = False
        self._send("READY=1")

    def alive(self) -> None:
        """Say that the loop runs; without it for WatchdogSec, the service is restarted.

        Before it is ready, TimeoutStartSec does not end it either as long as it says so.
        """
        self._send(f"WATCHDOG=1\n{LONGER}" if self._starting else "WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the shutdown has begun."""
        self._starting = False
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # An address that begins with @ has no file.
        address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0.1)
                sender.sendto(state.encode(), address)
        except OSError as error:
            self._failure.failed(error)
        else:
            self._failure.worked()
