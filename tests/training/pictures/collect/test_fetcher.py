"""Fetching as a guest."""

import asyncio
import gzip
import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from aiohttp import web

from common.addresses import literal_endpoints
from tests.training.pictures.helpers.shops import served
from training.common.recipe import RecipeError
from training.pictures.collect import fetcher as module
from training.pictures.collect.fetcher import (
    MAX_REDIRECTS,
    Fetched,
    Fetcher,
    FetchError,
    FetchSettings,
)

QUICK = FetchSettings(rate=1000, backoff=0.01, timeout=10, tries=3)
ROBOTS = "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /private\nAllow: /\n"


class Host:
    """Answers by path, and remembers what was asked when."""

    def __init__(self, robots=None):
        self.robots, self.asked, self.failures = robots, [], 0

    async def __call__(self, request):
        self.asked.append((request.path, time.monotonic(), request.headers["User-Agent"]))
        if request.path == "/robots.txt":
            if isinstance(self.robots, int):
                raise web.HTTPServiceUnavailable if self.robots > 499 else web.HTTPForbidden
            return (
                web.Response(text=self.robots)
                if self.robots is not None
                else web.Response(status=404)
            )
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        return await self.answer(request)

    async def answer(self, request):
        kind, _, rest = request.path[1:].partition("/")
        if kind == "status":
            return web.Response(status=int(rest))
        if kind == "redirect":
            raise web.HTTPFound(f"/redirect/{int(rest) - 1}" if rest != "0" else "/bytes/3")
        if kind == "slow":
            await asyncio.sleep(1)
        if kind == "wait":
            return web.Response(status=429, headers={"Retry-After": rest})
        return web.Response(body=bytes(int(rest or 1)), content_type="image/png")

    @property
    def paths(self):
        return [path for path, _, _ in self.asked if path != "/robots.txt"]


async def fetch(host, path, *, manners=QUICK, max_bytes=100, hosts=None, times=1):
    async with served(host) as url, Fetcher(manners, hosts) as fetcher:
        for _ in range(times - 1):
            await fetcher.fetch(url + path, max_bytes=max_bytes)
        return await fetcher.fetch(url + path, max_bytes=max_bytes)


async def test_what_is_there_comes_with_its_kind_and_our_name_is_told():
    host = Host()
    fetched = await fetch(
        host, "/bytes/100", manners=FetchSettings(agent="Tester/1 (me@example.org)", rate=1000)
    )
    assert (len(fetched.body), fetched.kind) == (100, "image/png")
    assert {agent for _, _, agent in host.asked} == {"Tester/1 (me@example.org)"}


async def test_more_bytes_than_allowed_are_refused():
    with pytest.raises(FetchError, match="more than 100 bytes"):
        await fetch(Host(), "/bytes/101")


@pytest.mark.parametrize(
    ("robots", "path", "allowed"),
    [
        (ROBOTS, "/public/1", True),
        (ROBOTS, "/private/1", False),
        (None, "/private/1", True),
        (403, "/private/1", True),
        ("User-agent: timbre\nDisallow: /", "/public/1", False),
    ],
)
async def test_robots_txt_is_obeyed(robots, path, allowed):
    host = Host(robots)
    if allowed:
        assert (await fetch(host, path)).body
        assert [path for path, _, _ in host.asked] == ["/robots.txt", path]
        return
    with pytest.raises(FetchError, match=r"robots\.txt forbids it"):
        await fetch(host, path)
    assert host.paths == []


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (429, True)])
async def test_robots_txt_that_fails_forbids_all_until_it_can_be_read(status, again):
    async def busy(request):
        asked.append(request.path)
        return web.Response(
            status=status if request.path == "/robots.txt" and len(asked) <= QUICK.tries else 200
        )

    asked = []
    async with served(busy) as url:
        async with Fetcher(QUICK) as fetcher:
            for _ in range(2):
                with pytest.raises(
                    FetchError, match=rf"robots\.txt cannot be read.* status {status}"
                ) as refused:
                    await fetcher.fetch(f"{url}/page", max_bytes=10)
                assert refused.value.again == again
        assert asked == ["/robots.txt"] * QUICK.tries
        async with Fetcher(QUICK) as fetcher:
            assert await fetcher.fetch(f"{url}/page", max_bytes=10)


async def test_robots_txt_is_read_where_it_moved_to_but_not_on_a_host_that_may_not_be_asked():
    async def moved(request):
        if request.path == "/robots.txt":
            raise web.HTTPMovedPermanently(away[0])
        return web.Response(
            text="User-agent: *\nDisallow: /private" if request.path == "/rules" else "x"
        )

    away = ["/rules"]
    async with served(moved) as url:
        host = frozenset({url.removeprefix("http://")})
        async with Fetcher(QUICK, host) as fetcher:
            assert (await fetcher.fetch(f"{url}/public", max_bytes=10)).body == b"x"
            with pytest.raises(FetchError, match=r"robots\.txt forbids it"):
                await fetcher.fetch(f"{url}/private", max_bytes=10)
        for away[0], words in [
            ("http://127.0.0.1:9/rules", "host 127.0.0.1:9 is not allowed"),
            ("/robots.txt", "more than 5 redirects"),
        ]:
            async with Fetcher(QUICK, host) as fetcher:
                with pytest.raises(FetchError, match=rf"robots\.txt cannot be read.* {words}"):
                    await fetcher.fetch(f"{url}/public", max_bytes=10)


async def test_on_a_host_of_ones_own_robots_txt_may_be_passed_over():
    assert await fetch(
        Host("User-agent: *\nDisallow: /"),
        "/bytes/1",
        manners=FetchSettings(robots=False, rate=1000),
    )


async def test_what_may_pass_is_tried_again_and_not_for_ever():
    host = Host()
    host.failures = 2
    assert (await fetch(host, "/bytes/1")).body
    assert len(host.paths) == 3
    host.failures = 3
    with pytest.raises(FetchError, match="status 503, after 3 tries") as refused:
        await fetch(host, "/bytes/1")
    assert refused.value.again
    assert len(host.paths) == 6


async def test_the_pause_between_tries_doubles():
    host = Host()
    host.failures = 2
    await fetch(host, "/bytes/1", manners=FetchSettings(rate=1000, backoff=0.1, tries=3))
    first, second, third = [at for path, at, _ in host.asked if path != "/robots.txt"]
    assert second - first >= 0.1
    assert third - second >= 0.2


@pytest.mark.parametrize("path", ["/status/404", "/status/410", "/status/403"])
async def test_what_will_not_pass_is_asked_once(path):
    host = Host()
    with pytest.raises(FetchError, match="status 4") as refused:
        await fetch(host, path)
    assert not refused.value.again
    assert host.paths == [path]


async def test_a_page_that_does_not_end_is_left_after_the_timeout():
    with pytest.raises(FetchError, match="TimeoutError, after 2 tries"):
        await fetch(
            Host(), "/slow/1", manners=FetchSettings(rate=1000, backoff=0, timeout=0.2, tries=2)
        )


@pytest.fixture
def waits(monkeypatch):
    """The waits between two tries, in seconds; none is waited for."""
    asked, sleep = [], asyncio.sleep

    async def record(seconds):
        if seconds > 0:
            asked.append(seconds)
        await sleep(0)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": record}))
    return asked


async def test_a_host_that_asks_to_wait_is_waited_for_unless_too_long(waits):
    host = Host()
    with pytest.raises(FetchError, match="status 429, after 2 tries"):
        await fetch(host, "/wait/1", manners=FetchSettings(rate=1000, backoff=0, tries=2))
    assert max(waits) == 1
    for long in ("3600", "9" * 400, "Fri, 31 Dec 2099 23:59:59 GMT"):
        with pytest.raises(FetchError, match="status 429, after 1 tries"):
            await fetch(host, f"/wait/{long}")


async def test_the_wait_may_be_a_date():
    host, until = Host(), datetime.now(UTC) + timedelta(seconds=3)
    with pytest.raises(FetchError, match="status 429, after 2 tries"):
        await fetch(
            host,
            f"/wait/{format_datetime(until, usegmt=True)}",
            manners=FetchSettings(rate=1000, backoff=0, tries=2),
        )
    # Such dates have no fractions of a second.
    assert datetime.now(UTC) >= until - timedelta(seconds=1)


@pytest.mark.parametrize(
    "after", ["soon", "-1", "Mon, 99 Foo 2026", "\u00b2", "Wed, 21 Oct 2015 07:28:00 GMT"]
)
async def test_a_wait_that_makes_no_sense_or_is_over_is_none(after, waits):
    with pytest.raises(FetchError, match="status 429, after 3 tries"):
        await fetch(Host(), f"/wait/{after}")
    # Its own pauses between tries, and the slots of its rate.
    assert max(waits) <= 2 * QUICK.backoff


@pytest.mark.parametrize("charset", ["undefined", "idna", "hex", "punycode", "nothing"])
async def test_an_encoding_that_is_none_of_texts_is_taken_for_utf_8(charset):
    fetched = Fetched(
        "http://s.example/", "text/html", charset, "caf\u00e9 \u2013".encode() + b"\xff"
    )
    assert fetched.text.startswith("caf")


async def test_bytes_are_counted_when_they_are_unpacked():
    async def bomb(_):
        kind = {"Content-Encoding": "gzip", "Content-Type": "text/html"}
        return web.Response(body=gzip.compress(bytes(50_000_000)), headers=kind)

    async with served(bomb) as url, Fetcher(QUICK) as fetcher:
        with pytest.raises(FetchError, match="more than 1,000 bytes"):
            await fetcher.fetch(f"{url}/page", max_bytes=1_000, robots=False)


async def test_redirects_are_followed_so_far_and_no_further():
    assert len((await fetch(Host(), f"/redirect/{MAX_REDIRECTS - 1}")).body) == 3
    with pytest.raises(FetchError, match="more than 5 redirects"):
        await fetch(Host(), f"/redirect/{MAX_REDIRECTS}")


async def test_a_redirect_does_not_lead_to_another_host_or_past_robots_txt():
    there = Host()
    async with served(there) as other:

        async def astray(request):
            if request.path == "/robots.txt":
                return web.Response(text="User-agent: *\nDisallow: /private")
            raise web.HTTPFound(f"{other}/bytes/1" if request.path == "/out" else "/private")

        async with (
            served(astray) as url,
            Fetcher(QUICK, frozenset({url.removeprefix("http://")})) as fetcher,
        ):
            with pytest.raises(FetchError, match="is not allowed: add it to `hosts`"):
                await fetcher.fetch(f"{url}/out", max_bytes=10)
            with pytest.raises(FetchError, match=r"robots\.txt forbids it"):
                await fetcher.fetch(f"{url}/in", max_bytes=10)
    assert there.asked == []


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "javascript:void(0)", "http:///x", ""]
)
async def test_what_is_no_web_address_is_refused(url):
    async with Fetcher(QUICK) as fetcher:
        with pytest.raises(FetchError, match="not an http or https URL"):
            await fetcher.fetch(url, max_bytes=10)


@pytest.mark.parametrize("link", ["http://[", "http://[::1", "http://a\u2100b/"])
async def test_what_is_no_address_at_all_is_refused_wherever_it_stands(link):
    async def astray(_):
        return web.Response(status=302, headers={"Location": link})

    async with served(astray) as url, Fetcher(QUICK) as fetcher:
        with pytest.raises(FetchError, match="invalid URL"):
            await fetcher.fetch(link, max_bytes=10, robots=False)
        with pytest.raises(FetchError, match="invalid URL"):
            await fetcher.fetch(url, max_bytes=10, robots=False)


@pytest.mark.parametrize(("rate", "robots"), [(1, None), (1000, "User-agent: *\nCrawl-delay: 1\n")])
async def test_requests_to_a_host_keep_their_distance(rate, robots):
    host = Host(robots)
    await fetch(host, "/bytes/1", manners=FetchSettings(rate=rate), times=3)
    times = [at for path, at, _ in host.asked if path != "/robots.txt"]
    # Two distances of a second, seen from the host, where a busy machine lets the first come late.
    assert times[-1] - times[0] > 1


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0}, {"rate": math.inf}, {"rate": math.nan}, {"tries": 0}, {"timeout": -1},
     {"backoff": -0.1}, {"picture_bytes": 0}, {"agent": ""}, {"agent": "a\r\nCookie: b"},
     {"agent": "caf\u00e9"}],
)  # fmt: skip
def test_manners_that_make_no_sense_are_refused(wrong):
    with pytest.raises(RecipeError, match="manners"):
        FetchSettings(**wrong)


PRIVATE_FORMS = [
    "127.0.0.1:{port}",
    "127.0.0.2:{port}",
    "localhost:{port}",
    "LOCALHOST:{port}",
    "0.0.0.0:{port}",
    "[::]:{port}",
    "[::1]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "0x7f.0.0.1:{port}",
    "10.0.0.1:{port}",
    "169.254.169.254",
    "192.168.0.1",
    "100.64.0.1",
    "[fe80::1]",
    "224.0.0.1",
]


class Redirect(Host):
    """Redirects everything but robots.txt."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    async def answer(self, request):
        raise web.HTTPFound(self.target)


@pytest.mark.parametrize("form", PRIVATE_FORMS)
async def test_a_redirect_to_a_private_address_is_refused_and_not_asked(form):
    secret = Host()
    async with served(secret) as there:
        port = int(there.rsplit(":", 1)[1])
        redirect = Redirect(f"http://{form.format(port=port)}/latest/meta-data/")
        async with served(redirect) as url:
            private = literal_endpoints([url])
            async with Fetcher(QUICK, private=private) as fetcher:
                with pytest.raises(FetchError, match="private network; add --allow-private"):
                    await fetcher.fetch(url, max_bytes=100)
    assert secret.asked == []
    assert redirect.paths == ["/"]


async def test_private_addresses_may_be_allowed():
    secret = Host()
    async with (
        served(secret) as there,
        served(Redirect(f"{there}/bytes/3")) as url,
        Fetcher(QUICK, private=None) as fetcher,
    ):
        assert len((await fetcher.fetch(url, max_bytes=100)).body) == 3


@pytest.mark.parametrize(
    "after",
    ["Sun, 06 Nov 1994 08:49:37 +99999999999999999999", "Sun, 06 Nov 1994" + "9" * 99, "\u0661"],
)
async def test_a_wait_that_is_no_time_is_none(after):
    host = Host()
    with pytest.raises(FetchError, match="status 429, after 3 tries"):
        await fetch(host, f"/wait/{after}")
    assert len(host.paths) == 3
