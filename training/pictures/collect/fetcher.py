"""Fetching as a guest: at the rate the host allows, where robots.txt allows, a bounded number of bytes and tries."""

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

from common.errors import TimbreError
from training.common.recipe import RecipeError
from training.pictures.collect.robots import Robots

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

MAX_REDIRECTS = 5
MAX_ROBOTS_BYTES = 512 * 1024
MAX_WAIT_S = 120.0
"""A host that asks for more is left alone."""
NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
RETRY_STATUSES = {408, 425, 429, 500, 502, 503, 504}


class FetchError(TimbreError):
    """A file was not fetched; the message says why."""

    title = "Not fetched"

    def __init__(self, message: str, *, again: bool = False) -> None:
        """again: whether another try, later, may do better."""
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """How to behave towards hosts."""

    agent: str = "Timbre/0.1"
    """User-Agent, and the name looked for in robots.txt; add a way to reach you."""
    rate: float = 1.0
    """Requests a second to one host at max_bytes."""
    timeout: float = 20.0
    """Seconds for one request."""
    tries: int = 4
    """Of a request that fails in a way that may pass."""
    backoff: float = 2.0
    """Seconds before the second try; doubled for each one after."""
    page_bytes: int = 5_000_000
    """Of a page at max_bytes."""
    picture_bytes: int = 20_000_000
    """Of a picture at max_bytes."""
    robots: bool = True
    """Whether to obey robots.txt; false only on a host of your own."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises RecipeError."""
        numbers = (self.rate, self.timeout, self.tries, self.page_bytes, self.picture_bytes)
        if not (all(0 < number < math.inf for number in numbers) and 0 <= self.backoff < math.inf):
            raise RecipeError(
                "manners: rate, timeout, tries and bytes must be above 0, and backoff not below"
            )
        if not (self.agent.isascii() and self.agent.isprintable() and self.agent.strip()):
            raise RecipeError(
                f"manners: agent={self.agent!r:.80} must be printable ASCII, such as 'my-crawler (me@example.org)'"
            )


class Fetched(NamedTuple):
    """What came, and from where after redirects."""

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
        except (LookupError, ValueError):  # an encoding that is unknown, or none of texts
            return self.body.decode("utf-8", "replace")


class Fetcher:
    """Fetches from any hosts, from each at its rate."""

    def __init__(self, manners: FetchSettings, hosts: frozenset[str] | None = None) -> None:
        """hosts: `host:port` as in addresses that may be asked; None is all."""
        self.manners, self.hosts = manners, hosts
        self._robots: dict[str, Robots | FetchError] = {}
        self._next: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self.manners.timeout)
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": self.manners.agent}, timeout=timeout
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
        """Return what is at an address, following redirects.

        max_bytes: bytes. robots: false for an interface made for programs. Raises FetchError.
        """
        for _ in range(MAX_REDIRECTS + 1):
            self._check_host(url)
            if robots and self.manners.robots and not (await self._robots_of(url)).allow(url):
                raise FetchError("robots.txt forbids it")
            answer = await self._fetch_with_retries(url, max_bytes)
            if isinstance(answer, Fetched):
                return answer
            url = _joined(url, answer)
        raise FetchError(f"more than {MAX_REDIRECTS} redirects")

    def _check_host(self, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise FetchError(f"is no address: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise FetchError(f"{parts.scheme or 'nothing'}: is neither http nor https")
        if self.hosts is not None and parts.netloc not in self.hosts:
            raise FetchError(f"{parts.netloc} is another host; allow it in `hosts`")

    async def _robots_of(self, url: str) -> Robots:
        """Return the rules of a host (RFC 9309); raises FetchError when robots.txt fails to load."""
        root = urljoin(url, "/robots.txt")
        if root not in self._robots:
            try:
                self._robots[root] = await self._fetch_rules(root)
            except FetchError as refused:
                self._robots[root] = refused
        rules = self._robots[root]
        if isinstance(rules, FetchError):
            raise FetchError(
                f"robots.txt cannot be read, which forbids all: {rules}", again=rules.again
            )
        return rules

    async def _fetch_rules(self, url: str) -> Robots:
        for _ in range(MAX_REDIRECTS + 1):
            self._check_host(url)
            try:
                answer = await self._fetch_with_retries(url, MAX_ROBOTS_BYTES)
            except FetchError as refused:
                if str(refused).startswith("status 4") and not refused.again:
                    return Robots()
                raise
            if isinstance(answer, Fetched):
                return Robots.parse(answer.text, self.manners.agent)
            url = _joined(url, answer)
        raise FetchError(f"more than {MAX_REDIRECTS} redirects")

    async def _fetch_with_retries(self, url: str, max_bytes: int) -> Fetched | str:
        reason = ""
        for attempt in range(self.manners.tries):
            await self._wait_turn(url)
            try:
                return await self._request(url, max_bytes)
            except _TransientError as passing:
                reason, wait = passing.reason, passing.wait
            except NETWORK_ERRORS as error:
                reason, wait = f"{type(error).__name__}: {error}".rstrip(": "), 0.0
            if wait > MAX_WAIT_S:
                break
            if attempt + 1 < self.manners.tries:
                await asyncio.sleep(max(wait, self.manners.backoff * 2**attempt))
        raise FetchError(f"{reason}, after {attempt + 1} tries", again=True)

    async def _wait_turn(self, url: str) -> None:
        """Keep the distance between requests to one host that we, or its robots.txt, ask for."""
        host, rules = urlsplit(url).netloc, self._robots.get(urljoin(url, "/robots.txt"))
        delay = rules.delay if isinstance(rules, Robots) and self.manners.robots else 0.0
        now = time.monotonic()
        turn = max(now, self._next.get(host, now))
        self._next[host] = turn + max(1 / self.manners.rate, min(delay, MAX_WAIT_S))
        await asyncio.sleep(turn - now)

    async def _request(self, url: str, max_bytes: int) -> Fetched | str:
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers:
                return answer.headers["Location"]
            if answer.status in RETRY_STATUSES:
                raise _TransientError(
                    f"status {answer.status}", _seconds(answer.headers.get("Retry-After", ""))
                )
            if answer.status != 200:
                raise FetchError(f"status {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                body += chunk
                if len(body) > max_bytes:
                    raise FetchError(f"more than {max_bytes:,} bytes")
            return Fetched(url, answer.content_type.lower(), answer.charset or "", bytes(body))


def _joined(url: str, link: str) -> str:
    """Return where a redirect leads to. Raises FetchError."""
    try:
        return urljoin(url, link)
    except ValueError as error:
        raise FetchError(f"leads to no address: {error}") from error


def _seconds(after: str) -> float:
    """Return how long to wait by Retry-After: seconds or a date; 0 for what is neither."""
    if after.isdecimal():
        return float(after)
    try:
        when = parsedate_to_datetime(after)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class _TransientError(Exception):
    """A failure that may pass, and the seconds the host asks to wait."""

    def __init__(self, reason: str, wait: float) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait
