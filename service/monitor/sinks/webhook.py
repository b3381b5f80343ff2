"""A sink that posts each record to an address, signed."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

from common.errors import Unprocessable
from common.strict_json import to_json
from service.archive.documents import document
from service.archive.records import EventRecord, MinuteRecord, Record
from service.log import log
from service.monitor.sinks.base import SinkError
from service.sources.network import hidden

TIMEOUT_S, CONNECT_S = 10.0, 5.0
ATTEMPTS = 8
"""Of one record at an address that is reached; with the pauses, some two minutes."""
UNREACHED, NO_RESPONSE = -1, 0
"""In the place of a status: no connection, and one without an answer."""
AGAIN = {408, 425, 429}
"""Statuses below 500 after which a record is posted again."""
SIGNATURE = "Timbre-Signature"


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """The settings of an address."""

    url: str
    secret: str = field(default="", repr=False)
    """With it, each request is signed by HMAC-SHA256."""
    states: Literal["both", "onset", "offset"] = "both"
    """Which of an event's two states are posted."""
    min_peak: float = 0.0
    """Events whose peak is lower so far are not posted."""
    pause: float = 0.0
    """Seconds after the onset of an event for which no other of its source and label is posted."""
    coverage: bool = False
    """Whether each minute is posted too."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for a value outside its limits."""
        if not self.url.lower().startswith(("http://", "https://")):
            raise Unprocessable(
                f"url={hidden(self.url, path=False)!r} must begin with http:// or https://"
            )
        if not 0 <= self.min_peak <= 1:
            raise Unprocessable(f"min_peak={self.min_peak} must be between 0 and 1")
        if not 0 <= self.pause <= 86_400:
            raise Unprocessable(f"pause={self.pause} must be between 0 and 86400 s")


class Webhook:
    """Posts records as JSON, one at a time and in their order. Redirects are not followed."""

    def __init__(
        self, settings: WebhookSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        """clock: seconds since 1970, in signatures."""
        self._settings, self._clock = settings, clock
        # The path is the secret of some receivers.
        self._host = hidden(settings.url, path=False)
        self._session: aiohttp.ClientSession | None = None
        self._posted: dict[tuple[str, str], tuple[str, int]] = {}
        """By source and label: the last event posted, and when it began."""
        self._attempts = 0

    async def write(self, records: Sequence[Record]) -> int:
        """Post the first record, if it is wanted.

        Raises SinkError when it should be posted again; one that was refused is told and left out.
        """
        record = records[0]
        if not self._is_wanted(record):
            return 1
        body = to_json(document(record)).encode()
        status = await self._post(body)
        if 200 <= status < 300:
            self._attempts = 0
            return 1
        # A network may be away for days, and the queue is bounded.
        self._attempts += status != UNREACHED
        retried = status in AGAIN or status >= 500 or status in (UNREACHED, NO_RESPONSE)
        if retried and self._attempts < ATTEMPTS:
            raise SinkError(f"{self._host}: {_words(status)}")
        log("record refused", url=self._host, why=_words(status))
        self._attempts = 0
        return 1

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    def _is_wanted(self, record: Record) -> bool:
        if isinstance(record, MinuteRecord):
            return self._settings.coverage
        if not isinstance(record, EventRecord):
            return True
        key = record.source, record.label
        last = self._posted.get(key)
        if (
            last
            and last[0] != record.id
            and record.start_ms < last[1] + 1000 * self._settings.pause
        ):
            return False
        if self._settings.states not in {"both", record.state}:
            return False
        if record.peak < self._settings.min_peak:
            return False
        self._posted[key] = (record.id, record.start_ms)
        return True

    async def _post(self, body: bytes) -> int:
        """Return the status, UNREACHED or NO_RESPONSE."""
        self._session = self._session or aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S)
        )
        headers = {"Content-Type": "application/json"}
        if self._settings.secret:
            headers[SIGNATURE] = signature(self._settings.secret, int(self._clock()), body)
        try:
            async with self._session.post(
                self._settings.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return UNREACHED
        except (aiohttp.ClientError, TimeoutError):
            return NO_RESPONSE


def signature(secret: str, at_s: int, body: bytes) -> str:
    """Return the header of a signed request: `t=SECONDS,v1=HEX`, over `SECONDS.BODY`."""
    digest = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def _words(status: int) -> str:
    return f"status {status}" if status > 0 else "no response"
