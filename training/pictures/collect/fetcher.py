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

REDIRECTS = 5
ROBOTS_BYTES = 512 * 1024
LONGEST_WAIT_S = 120.0
"""A host that asks for more is left alone."""
TROUBLE = (aiohttp.ClientError, TimeoutError, OSError)
AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Refused(TimbreError):
    """A file was not fetched; the message says why."""

    title = "Not fetched"

    def __init__(self, message: str, *, again: bool = False) -> None:
        """again: whether another try, later, may do better."""
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How to behave towards hosts."""

    agent: str = "Timbre/0.1"
    """User-Agent, and the name looked for in robots.txt; add a way to reach you."""
    rate: float = 1.0
    """Requests a second to one host at most."""
    timeout: float = 20.0
    """Seconds for one request."""
    tries: int = 4
    """Of a request that fails in a way that may pass."""
    backoff: float = 2.0
    """Seconds before the second try; doubled for each one after."""
    page_bytes: int = 5_000_000
    """Of a page at most."""
    picture_bytes: int = 20_000_000
    """Of a picture at most."""
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

    def __init__(self, manners: Manners, hosts: frozenset[str] | None = None) -> None:
        """hosts: `host:port` as in addresses that may be asked; None is all."""
        self.manners, self.hosts = manners, hosts
        self._robots: dict[str, Robots | Refused] = {}
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

    async def fetch(self, url: str, *, most: int, robots: bool = True) -> Fetched:
        """Return what is at an address, following redirects.

        most: bytes. robots: false for an interface made for programs. Raises Refused.
        """
        for _ in range(REDIRECTS + 1):
            self._check_host(url)
            if robots and self.manners.robots and not (await self._rules(url)).allow(url):
                raise Refused("robots.txt forbids it")
            answer = await self._persist(url, most)
            if isinstance(answer, Fetched):
                return answer
            url = _joined(url, answer)
        raise Refused(f"more than {REDIRECTS} redirects")

    def _check_host(self, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise Refused(f"is no address: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Refused(f"{parts.scheme or 'nothing'}: is neither http nor https")
        if self.hosts is not None and parts.netloc not in self.hosts:
            raise Refused(f"{parts.netloc} is another host; allow it in `hosts`")

    async def _rules(self, url: str) -> Robots:
        """Return the rules of a host (RFC 9309), none where there is no robots.txt. Raises Refused while it fails."""
        root = urljoin(url, "/robots.txt")
        if root not in self._robots:
            try:
                self._robots[root] = await self._ask_rules(root)
            except Refused as refused:
                self._robots[root] = refused
        rules = self._robots[root]
        if isinstance(rules, Refused):
            raise Refused(
                f"robots.txt cannot be read, which forbids all: {rules}", again=rules.again
            )
        return rules

    async def _ask_rules(self, url: str) -> Robots:
        for _ in range(REDIRECTS + 1):
            self._check_host(url)
            try:
                answer = await self._persist(url, ROBOTS_BYTES)
            except Refused as refused:
                if str(refused).startswith("status 4") and not refused.again:
                    return Robots()
                raise
            if isinstance(answer, Fetched):
                return Robots.parse(answer.text, self.manners.agent)
            url = _joined(url, answer)
        raise Refused(f"more than {REDIRECTS} redirects")

    async def _persist(self, url: str, most: int) -> Fetched | str:
        reason = ""
        for attempt in range(self.manners.tries):
            await self._wait_turn(url)
            try:
                return await self._once(url, most)
            except _Passing as passing:
                reason, wait = passing.reason, passing.wait
            except TROUBLE as error:
                reason, wait = f"{type(error).__name__}: {error}".rstrip(": "), 0.0
            if wait > LONGEST_WAIT_S:
                break
            if attempt + 1 < self.manners.tries:
                await asyncio.sleep(max(wait, self.manners.backoff * 2**attempt))
        raise Refused(f"{reason}, after {attempt + 1} tries", again=True)

    async def _wait_turn(self, url: str) -> None:
        """Keep the distance between requests to one host that we, or its robots.txt, ask for."""
        host, rules = urlsplit(url).netloc, self._robots.get(urljoin(url, "/robots.txt"))
        delay = rules.delay if isinstance(rules, Robots) and self.manners.robots else 0.0
        now = time.monotonic()
        turn = max(now, self._next.get(host, now))
        self._next[host] = turn + max(1 / self.manners.rate, min(delay, LONGEST_WAIT_S))
        await asyncio.sleep(turn - now)

    async def _once(self, url: str, most: int) -> Fetched | str:
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers:
                return answer.headers["Location"]
            if answer.status in AGAIN:
                raise _Passing(
                    f"status {answer.status}", _seconds(answer.headers.get("Retry-After", ""))
                )
            if answer.status != 200:
                raise Refused(f"status {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                body += chunk
                if len(body) > most:
                    raise Refused(f"more than {most:,} bytes")
            return Fetched(url, answer.content_type.lower(), answer.charset or "", bytes(body))


def _joined(url: str, link: str) -> str:
    """Return where a redirect leads to. Raises Refused."""
    try:
        return urljoin(url, link)
    except ValueError as error:
        raise Refused(f"leads to no address: {error}") from error


def _seconds(after: str) -> float:
    """Return how long to wait by Retry-After: seconds or a date; 0 for what is neither."""
    if after.isdecimal():
        return float(after)
    try:
        when = parsedate_to_datetime(after)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class _Passing(Exception):
    """A failure that may pass, and the seconds the host asks to wait."""

    def __init__(self, reason: str, wait: float) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait
