"""A sink that sends records to the archive of another Timbre, each exactly once."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from common.errors import Unprocessable
from common.mapping import parse_json
from common.strict_json import to_json
from service.archive.documents import MAX_DETAIL, document
from service.archive.receiver import MAX_RECORDS
from service.archive.records import Record
from service.client.trust import client_context
from service.log import log
from service.monitor.sinks.base import SinkError
from service.protocol import check_source
from service.sources.network import hidden

TIMEOUT_S, CONNECT_S = 30.0, 15.0
ROUTE = "/v1/records"
TOO_LARGE, INVALID = 413, 422
MAX_ERROR = 16_384
"""Bytes of an error that are read."""
SHOWN = 200
"""Characters of a server's reason in the log."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The settings of a server."""

    url: str
    """Address of the server, without a path."""
    node: str
    """Name of this machine there: its sources are told as NODE.SOURCE."""
    token: str = field(default="", repr=False)
    """API key with the scope `records`."""
    ca: str = ""
    """PEM file of the certificates to trust instead of the system's."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for a value outside its limits."""
        if not self.url.lower().startswith(("http://", "https://")):
            raise Unprocessable(
                f"url={hidden(self.url, path=False)!r} must begin with http:// or https://"
            )
        check_source("node", self.node)


class TimbreServer:
    """Sends batches, one at a time. One without a response is sent again under its number."""

    def __init__(self, settings: ServerSettings) -> None:
        """Raises Unprocessable for certificates that cannot be read."""
        self._settings = settings
        self._url = settings.url.rstrip("/") + ROUTE
        self._host = hidden(settings.url, path=False)
        self._tls: ssl.SSLContext | bool = client_context(settings.ca) if settings.ca else True
        self._session: aiohttp.ClientSession | None = None
        self._sender, self._number = uuid.uuid4().hex, 1
        self._sent: list[Record] = []
        """The batch under this number, which the server may have."""
        self._size = MAX_RECORDS

    async def write(self, records: Sequence[Record]) -> int:
        """Send the first records.

        Raises SinkError until the server has them; what it refuses is told and left out.
        """
        self._sent = self._sent or list(records[: self._size])
        status, reason = await self._post(self._sent)
        if status in (TOO_LARGE, INVALID) and len(self._sent) > 1:
            # Nothing of it was taken: by halves, down to the record that is refused.
            self._size, self._sent = len(self._sent) // 2, []
            return await self.write(records)
        if status in (TOO_LARGE, INVALID):
            log("record refused", url=self._host, why=reason)
        elif status != 200:
            raise SinkError(f"{self._host}: {reason}")
        sent, self._sent = self._sent, []
        self._number += 1
        self._size = min(MAX_RECORDS, 2 * self._size)
        # The oldest may have given way to later records since they were sent first.
        lost = next((at for at, each in enumerate(sent) if each is records[0]), len(sent))
        return len(sent) - lost or await self.write(records)

    async def close(self) -> None:
        """Close the connection."""
        if self._session:
            await self._session.close()

    async def _post(self, records: Sequence[Record]) -> tuple[int, str]:
        """Return the status and, of an error, the reason; status 0 without a response."""
        self._session = self._session or aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S),
            connector=aiohttp.TCPConnector(ssl=self._tls),
        )
        token = self._settings.token
        batch = {
            "sender": self._sender,
            "batch": self._number,
            "records": [self._document(record) for record in records],
        }
        try:
            async with self._session.post(
                self._url,
                data=to_json(batch).encode(),
                headers={
                    "Content-Type": "application/json",
                    **({"Authorization": f"Bearer {token}"} if token else {}),
                },
                allow_redirects=False,
            ) as response:
                if response.status == 200:
                    return 200, ""
                return response.status, _reason(response.status, await _start_of(response))
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, f"no response: {type(error).__name__}"

    def _document(self, record: Record) -> dict[str, Any]:
        """Return a record as it is told there."""
        values = document(record)
        for name in ("source", "id"):
            if name in values:
                values[name] = f"{self._settings.node}.{values[name]}"
        if "detail" in values:
            values["detail"] = values["detail"][:MAX_DETAIL]
        return values


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of a response, at most MAX_ERROR bytes of it."""
    body = b""
    while len(body) < MAX_ERROR and (more := await response.content.read(MAX_ERROR - len(body))):
        body += more
    return body


def _reason(status: int, body: bytes) -> str:
    """Return in words what a server answers, with the detail of a problem document."""
    try:
        problem = parse_json(body, error=ValueError)
    except ValueError:
        problem = None
    detail = str(problem.get("detail", "")) if isinstance(problem, dict) else ""
    return f"status {status}" + (f": {detail:.{SHOWN}}" if detail else "")
