"""The client of a Timbre server: classifies files and streams live sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from common.errors import InputError
from common.strict_json import to_json
from service.client.stream import RECONNECT_TIMEOUT_S, Stream
from service.client.transport import Response, request
from service.client.trust import client_context
from service.protocol import OnOverload, Start


class Client:
    """A client of one server. It holds no connection: each call opens its own."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        *,
        authorities: str | None = None,
    ) -> None:
        """Raises InputError unless the URL begins with ws://, wss://, http:// or https://.

        token: API key. authorities: PEM file of the certificates to trust instead of the system's.
        """
        self.url = ("http" + url[2:] if url.startswith(("ws://", "wss://")) else url).rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"{url!r} is not the URL of a server, such as ws://127.0.0.1:8000")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = client_context(authorities) if authorities else True

    async def classify(
        self, source: str | Path | bytes, model: str = "instruments", **options: str | float
    ) -> Response:
        """Return the response to one sound or picture file, given by its path or as its bytes.

        `options` go into the query: `hop` in seconds for sound, `top_k`, `version`, and the
        metadata of a picture. Raises the error of the response, Unreachable, or OSError for a path
        that cannot be read.
        """
        data = (
            source
            if isinstance(source, bytes)
            else await asyncio.to_thread(Path(source).read_bytes)
        )
        async with self.session() as session:
            return await request(
                session, "POST", f"{self.url}/v1/models/{model}/classify", data=data, params=options
            )

    async def describe(self, model: str = "instruments") -> Response:
        """Return the description of a model. Raises as `classify` does."""
        async with self.session() as session:
            return await request(session, "GET", f"{self.url}/v1/models/{model}")

    async def models(self) -> Response:
        """Return the descriptions of all models. Raises as `classify` does."""
        async with self.session() as session:
            return await request(session, "GET", f"{self.url}/v1/models")

    async def load(self, model: str, version: str | None = None) -> Response:
        """Switch the server to a version, by default the latest on its disk; return the response.

        Raises Refused when the version is rejected, and as `classify` does.
        """
        body = {} if version is None else {"version": version}
        async with self.session() as session:
            return await request(session, "POST", f"{self.url}/v1/models/{model}/load", json=body)

    @asynccontextmanager
    async def stream(
        self,
        model: str = "instruments",
        *,
        sample_rate: int,
        encoding: str = "pcm_s16le",
        channels: int = 1,
        hop: float = 0.5,
        on_overload: OnOverload = "latest",
        events: bool = False,
        event_settings: dict[str, dict[str, float]] | None = None,
        source: str = "",
        publish: bool = False,
        patience_s: float = RECONNECT_TIMEOUT_S,
    ) -> AsyncIterator[Stream]:
        """Open a live stream that reconnects for `patience_s` seconds, each window answered once.

        `on_overload` holds on both sides: with `latest` the oldest sound is dropped and reported,
        with `complete` sending waits. events: each label from onset to offset too, made here, so
        that an event outlasts a lost connection. Raises the error of a rejection, or Unreachable.
        """
        start = Start(
            sample_rate=sample_rate,
            encoding=encoding,
            channels=channels,
            hop=hop,
            on_overload=on_overload,
            events=events,
            event_settings=event_settings or {},
            source=source,
            publish=publish,
        )
        async with self.session() as session:
            stream = Stream(
                session, f"{self.url}/v1/models/{model}/stream", start, patience_s=patience_s
            )
            await stream.open()
            try:
                yield stream
            finally:
                await stream.close()

    def session(self) -> aiohttp.ClientSession:
        """Return a session with the key and the trust of this client, to be closed."""
        return aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(ssl=self._tls),
            json_serialize=to_json,
        )
