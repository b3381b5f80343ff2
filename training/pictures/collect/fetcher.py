"""HTTP fetcher that obeys robots.txt and rate limits, with bounded bytes and retries."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp

from common.addresses import Endpoint, open_socket
from common.errors import TimbreError
from training.common.recipe import RecipeError
from training.pictures.collect.robots import Robots

if TYPE_CHECKING:
    import socket
    from types import TracebackType
    from typing import Self

    from aiohttp.connector import AddrInfoType

MAX_REDIRECTS = 5
MAX_ROBOTS_BYTES = 512 * 1024
MAX_WAIT_S = 120.0
"""A host that asks for a longer wait is not retried."""
NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
RETRY_STATUSES = {408, 425, 429, 500, 502, 503, 504}


class FetchError(TimbreError):
    """A URL was not fetched; the message gives the reason."""

    title = "Crawl failed"

    def __init__(self, message: str, *, again: bool = False) -> None:
        """again: whether a retry may succeed later."""
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """Rate, time-outs, retries and limits of requests."""

    agent: str = "Timbre/0.1"
    """User-Agent, and the name in robots.txt; add your contact."""
    rate: float = 1.0
    """Requests a second to one host at max_bytes."""
    timeout: float = 20.0
    """Seconds for one request."""
    tries: int = 4
    """Attempts of a request with a transient error."""
    backoff: float = 2.0
    """Seconds before the first retry; doubled for each one after."""
    page_bytes: int = 5_000_000
    """Maximum of bytes of a page."""
    picture_bytes: int = 20_000_000
    """Maximum of bytes of a picture."""
    robots: bool = True
    """Whether to obey robots.txt; false only on a host of your own."""

    def __post_init__(self) -> None:
        """Check the settings. Raises RecipeError."""
        numbers = (self.rate, self.timeout, self.tries, self.page_bytes, self.picture_bytes)
        if not (all(0 < number < math.inf for number in numbers) and 0 <= self.backoff < math.inf):
            raise RecipeError(
                "manners: rate, timeout, tries and bytes must be above 0, and backoff not below"
            )
        if not (self.agent.isascii() and self.agent.isprintable() and self.agent.strip()):
            raise RecipeError(
                f"manners: agent={self.agent!r:.80} must be printable ASCII, such as "
                "'my-crawler (me@example.org)'"
            )


class Fetched(NamedTuple):
    """A response, and its URL after redirects."""

    url: str
    kind: str
    """Content type, in lower case, without parameters."""
    charset: str
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        try:
            return self.body.decode(self.charset or "utf-8", "replace")
        except (LookupError, ValueError):  # an unknown encoding, or not one of text
            return self.body.decode("utf-8", "replace")


class Fetcher:
    """Fetches from several hosts, each at its rate."""

    def __init__(
        self,
        settings: FetchSettings,
        hosts: frozenset[str] | None = None,
        *,
        private: frozenset[Endpoint] | None = None,
    ) -> None:
        """hosts: allowed hosts as in URLs, `host:port`; None allows all.

        private: allowed addresses that are not public (loopback, local networks); None allows all.
        """
        self.settings, self.hosts, self.private = settings, hosts, private
        self._robots: dict[str, Robots | FetchError] = {}
        self._next: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout)
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": self.settings.agent},
            timeout=timeout,
            connector=aiohttp.TCPConnector(socket_factory=self._socket),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def fetch(self, url: str, *, max_bytes: int, robots: bool = True) -> Fetched:
        """Return the response of a URL, following redirects. Raises FetchError.

        max_bytes: limit of the body. robots: false for an API, to which robots.txt does not apply.
        """
        for _ in range(MAX_REDIRECTS + 1):
            self._check_host(url)
            if robots and self.settings.robots and not (await self._robots_of(url)).allow(url):
                raise FetchError("robots.txt forbids it")
            response = await self._fetch_with_retries(url, max_bytes)
            if isinstance(response, Fetched):
                return response
            url = _joined(url, response)
        raise FetchError(f"more than {MAX_REDIRECTS} redirects")

    def _socket(self, info: AddrInfoType) -> socket.socket:
        def refused(reason: str) -> FetchError:
            return FetchError(f"{reason}; add --allow-private to allow it")

        return open_socket(info, self.private, refused)

    def _check_host(self, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise FetchError(f"invalid URL: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise FetchError(f"not an http or https URL: {url:.80}")
        if self.hosts is not None and parts.netloc not in self.hosts:
            raise FetchError(f"host {parts.netloc} is not allowed: add it to `hosts`")

    async def _robots_of(self, url: str) -> Robots:
        """Return the rules of a host (RFC 9309). Raises FetchError when robots.txt fails."""
        root = urljoin(url, "/robots.txt")
        if root not in self._robots:
            try:
                self._robots[root] = await self._fetch_rules(root)
            except FetchError as error:
                self._robots[root] = error
        rules = self._robots[root]
        if isinstance(rules, FetchError):
            raise FetchError(
                f"robots.txt cannot be read, so nothing is allowed: {rules}", again=rules.again
            )
        return rules

    async def _fetch_rules(self, url: str) -> Robots:
        for _ in range(MAX_REDIRECTS + 1):
            self._check_host(url)
            try:
                response = await self._fetch_with_retries(url, MAX_ROBOTS_BYTES)
            except FetchError as error:
                if str(error).startswith("status 4") and not error.again:
                    return Robots()
                raise
            if isinstance(response, Fetched):
                return Robots.parse(response.text, self.settings.agent)
            url = _joined(url, response)
        raise FetchError(f"more than {MAX_REDIRECTS} redirects")

    async def _fetch_with_retries(self, url: str, max_bytes: int) -> Fetched | str:
        reason = ""
        for attempt in range(self.settings.tries):
            await self._wait_for_slot(url)
            try:
                return await self._request(url, max_bytes)
            except _TransientError as error:
                reason, wait = error.reason, error.wait
            except NETWORK_ERRORS as error:
                reason, wait = f"{type(error).__name__}: {error}".rstrip(": "), 0.0
            if wait > MAX_WAIT_S:
                break
            if attempt + 1 < self.settings.tries:
                await asyncio.sleep(max(wait, self.settings.backoff * 2**attempt))
        raise FetchError(f"{reason}, after {attempt + 1} tries", again=True)

    async def _wait_for_slot(self, url: str) -> None:
        """Wait for the next slot of a host, by our rate and the delay of its robots.txt."""
        host, rules = urlsplit(url).netloc, self._robots.get(urljoin(url, "/robots.txt"))
        delay = rules.delay if isinstance(rules, Robots) and self.settings.robots else 0.0
        now = time.monotonic()
        slot = max(now, self._next.get(host, now))
        self._next[host] = slot + max(1 / self.settings.rate, min(delay, MAX_WAIT_S))
        await asyncio.sleep(slot - now)

    async def _request(self, url: str, max_bytes: int) -> Fetched | str:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status in {301, 302, 303, 307, 308} and "Location" in response.headers:
                return response.headers["Location"]
            if response.status in RETRY_STATUSES:
                raise _TransientError(
                    f"status {response.status}", _seconds(response.headers.get("Retry-After", ""))
                )
            if response.status != 200:
                raise FetchError(f"status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                body += chunk
                if len(body) > max_bytes:
                    raise FetchError(f"more than {max_bytes:,} bytes")
            return Fetched(url, response.content_type.lower(), response.charset or "", bytes(body))


def _joined(url: str, link: str) -> str:
    """Return the target of a redirect. Raises FetchError."""
    try:
        return urljoin(url, link)
    except ValueError as error:
        raise FetchError(f"redirect to an invalid URL: {error}") from error


def _seconds(after: str) -> float:
    """Return the seconds of a Retry-After header, a number or a date; 0 for anything else."""
    if after.isdecimal():
        return float(after)
    try:
        when = parsedate_to_datetime(after)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class _TransientError(Exception):
    """An error worth a retry, and the seconds that the host asks to wait."""

    def __init__(self, reason: str, wait: float) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait
