"""Fetches the file that `classify?url=` names: from allowed hosts, at public addresses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver
from yarl import URL

from common.addresses import PORTS, Endpoint, open_socket
from common.budget import Reservation
from common.errors import InputError, Late, NotAllowed, NotFetched, TooLarge, Unprocessable
from service.hosts import parse_host
from service.settings import Settings

if TYPE_CHECKING:
    import socket

    from aiohttp.connector import AddrInfoType

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
MAX_URL = 2_000
"""Characters."""
CHUNK = 2**16


class Entry(NamedTuple):
    """A host of the setting `url_hosts`."""

    name: str
    """In its normal form; of a wildcard, what stands behind the star, with the dot."""
    wildcard: bool
    port: int | None
    """None: that of the scheme."""


class UrlFetcher:
    """Fetches files from some hosts, by the setting `url_hosts`."""

    def __init__(self, settings: Settings) -> None:
        """Raises Unprocessable for an invalid host in the settings."""
        self._settings = settings
        self._entries = tuple(map(read_entry, settings.url_hosts))
        self.private: frozenset[Endpoint] = frozenset()
        """Addresses that are not public and are connected to all the same: none."""
        self.resolver: AbstractResolver | None = None
        """None: that of the system."""

    async def fetch(self, text: str, memory: Reservation) -> bytes:
        """Return the file of a URL, following redirects. memory: grows with it.

        Raises NotAllowed for a host or an address that is not allowed, Unprocessable for what is no
        http or https URL, NotFetched, TooLarge, Late and Busy; each names the host.
        """
        url = self._checked(text)
        host, seconds = url.host, self._settings.url_timeout
        try:
            async with asyncio.timeout(seconds), self._session() as session:
                for _ in range(MAX_REDIRECTS + 1):
                    found = await self._request(session, url, memory)
                    if isinstance(found, bytes):
                        return found
                    url = self._checked(_joined(url, found))
                    host = url.host
        except TimeoutError:
            raise Late(f"the file did not arrive from {host} within {seconds:g} s") from None
        raise NotFetched(f"{host} sends more than {MAX_REDIRECTS} redirects")

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(socket_factory=self._socket, resolver=self.resolver)
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": "Timbre", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    def _socket(self, info: AddrInfoType) -> socket.socket:
        return open_socket(info, self.private, NotAllowed)

    def _checked(self, text: str) -> URL:
        """Return a URL whose host is allowed. Raises NotAllowed, Unprocessable."""
        if not self._entries:
            raise NotAllowed("url= is off; see the setting url_hosts")
        try:
            url = URL(text)
            scheme, port = url.scheme, url.port
            host = parse_host(url.host_subcomponent or "") if url.absolute else None
        except ValueError as error:
            raise Unprocessable(f"url={text!r:.80} is not a URL: {error}") from None
        if len(text) > MAX_URL or not text.isprintable():
            raise Unprocessable(f"url= must be printable, {MAX_URL} characters at most")
        if scheme not in PORTS or host is None or host.port or port is None:
            raise Unprocessable(f"url={text!r:.80} must be an http or https URL")
        if url.user is not None or url.password is not None:
            raise Unprocessable(f"url= of {host.name} must have no user and password")
        if not any(_allows(entry, host.name, scheme, port) for entry in self._entries):
            where = host.name if port == PORTS[scheme] else f"{host.name}:{port}"
            raise NotAllowed(
                f"host {where!r:.80} is not allowed in url=; see the setting url_hosts"
            )
        return url

    async def _request(
        self, session: aiohttp.ClientSession, url: URL, memory: Reservation
    ) -> bytes | str:
        """Return the file, or where the host redirects to."""
        try:
            async with session.get(url, allow_redirects=False) as response:
                if response.status in REDIRECTS and "Location" in response.headers:
                    return response.headers["Location"]
                if response.status != web.HTTPOk.status_code:
                    raise NotFetched(f"{url.host} answers with status {response.status}")
                encoding = response.headers.get("Content-Encoding", "identity")
                if encoding.lower() != "identity":
                    raise NotFetched(f"{url.host} sends the encoding {encoding!r:.40}")
                return await self._body(response, url, memory)
        except NotAllowed as error:
            raise NotAllowed(f"{url.host}: {error}") from None
        except aiohttp.ClientError as error:
            raise NotFetched(
                f"{url.host} cannot be reached: {error or type(error).__name__}"
            ) from error

    async def _body(self, response: aiohttp.ClientResponse, url: URL, memory: Reservation) -> bytes:
        limit, size, parts = self._settings.max_body, 0, []
        stated = response.content_length
        async for chunk in response.content.iter_chunked(CHUNK):
            size += len(chunk)
            if max(size, stated or 0) > limit:
                raise TooLarge(
                    f"the file of {url.host} has {max(size, stated or 0)} bytes or more; at most"
                    f" {limit} are accepted"
                )
            memory.grow_to(size)
            parts.append(chunk)
        if not parts:
            raise InputError(f"the file of {url.host} is empty")
        return b"".join(parts)


URL_FETCHER = web.AppKey("url_fetcher", UrlFetcher)


def read_entry(text: str) -> Entry:
    """Return a host of the setting `url_hosts`. Raises Unprocessable."""
    wildcard = text.startswith("*.")
    try:
        host = parse_host((text[2:] if wildcard else text).encode("idna").decode("ascii"))
    except UnicodeError:
        host = None
    if host is None or host.name.startswith(".") or (wildcard and "." not in host.name):
        raise Unprocessable(
            f"url_hosts={text!r:.80} must be hosts such as sounds.example.org, *.example.org or"
            " sounds.example.org:8080"
        )
    return Entry(f".{host.name}" if wildcard else host.name, wildcard, host.port)


def _allows(entry: Entry, name: str, scheme: str, port: int) -> bool:
    named = name.endswith(entry.name) if entry.wildcard else name == entry.name
    return named and port == (entry.port or PORTS[scheme])


def _joined(url: URL, link: str) -> str:
    try:
        return str(url.join(URL(link)))
    except ValueError as error:
        raise NotFetched(f"{url.host} redirects to what is not a URL: {error}") from None
