"""classify?url= fetches from allowed hosts at public addresses, within bounds, and nothing else."""

import asyncio
import gzip
import socket
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from yarl import URL

from common.errors import Unprocessable
from service.api.url_fetch import MAX_REDIRECTS, MAX_URL, URL_FETCHER, read_entry
from tests.service.conftest import tone, wav
from tests.service.helpers.problems import is_problem

SOUND = wav(tone(2))
HOST = "sounds.example.org"


class Resolver(AbstractResolver):
    """Names of a test, and how often each was resolved."""

    def __init__(self, names):
        self.names, self.asked = names, []

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append(host)
        addresses = self.names.get(host)
        if not addresses:
            raise OSError(None, "Name not known")
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in addresses
        ]

    async def close(self):
        pass


class Site:
    """A site that answers by path, and remembers what was asked."""

    def __init__(self):
        self.asked = []

    async def __call__(self, request):
        self.asked.append(request.path)
        kind, _, rest = request.path[1:].partition("/")
        if kind == "to":
            raise web.HTTPFound(request.query["url"])
        if kind == "circle":
            raise web.HTTPFound("/circle")
        if kind == "status":
            return web.Response(status=int(rest))
        if kind == "gzip":
            body = gzip.compress(SOUND)
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        if kind == "slow":
            await asyncio.sleep(600)
        if kind == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * 2**16)
        return web.Response(body=b"" if kind == "empty" else SOUND)


@asynccontextmanager
async def site():
    answers = Site()
    runner = web.ServerRunner(web.Server(answers), shutdown_timeout=0.1)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    answers.port = runner.addresses[0][1]
    try:
        yield answers
    finally:
        await runner.cleanup()


@pytest.fixture
async def fetching(serve):
    """A server that may fetch from sounds.example.org, which is a site of this machine."""
    async with site() as answers:

        async def start(*, names=None, hosts=(), private=True, **settings):
            port = answers.port
            allowed = (f"{HOST}:{port}", f"*.example.net:{port}", *hosts)
            server = await serve(url_hosts=allowed, **settings)
            fetcher = server.app[URL_FETCHER]
            fetcher.resolver = Resolver({HOST: ["127.0.0.1"], **(names or {})})
            if private:
                fetcher.private = frozenset({("127.0.0.1", port)})
            server.site, server.base = answers, f"http://{HOST}:{port}"
            return server

        yield start


async def classified(server, url, **options):
    path = URL(f"{server.url}/v1/models/toy/classify").with_query(url=url)
    async with server.http.post(path, **options) as response:
        answer = await response.json()
        if response.status != 200:
            assert is_problem(response.status, answer, response.headers), answer
        return response.status, answer


async def rejected(server, url):
    status, answer = await classified(server, url)
    return status, answer["detail"]


async def test_a_file_is_fetched_and_classified_as_if_it_were_posted(fetching):
    server = await fetching()
    status, answer = await classified(server, f"{server.base}/tone.wav")
    assert (status, answer["labels"]) == (200, ["tone"])
    status, answer = await classified(server, f"{server.base}/to?url=/tone.wav")
    assert (status, answer["labels"]) == (200, ["tone"])


async def test_it_is_off_without_the_setting(serve):
    server = await serve()
    status, detail = await rejected(server, f"http://{HOST}/x")
    assert (status, detail) == (403, "url= is off; see the setting url_hosts")


async def test_a_body_and_a_url_are_one_too_many(fetching):
    server = await fetching()
    status, answer = await classified(server, f"{server.base}/tone.wav", data=SOUND)
    assert (status, answer["detail"]) == (422, "send either a body or url=, not both")
    assert server.site.asked == []


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("http://other.example.org/x", 403, "host 'other.example.org' is not allowed"),
        (f"http://{HOST}/x", 403, f"host '{HOST}' is not allowed"),
        (f"http://{HOST}:1/x", 403, f"host '{HOST}:1' is not allowed"),
        (f"http://x.{HOST}:PORT/x", 403, "is not allowed"),
        ("http://example.net:PORT/x", 403, "host 'example.net:PORT' is not allowed"),
        ("http://evilexample.net:PORT/x", 403, "is not allowed"),
        ("http://127.0.0.1:PORT/x", 403, "host '127.0.0.1:PORT' is not allowed"),
        ("http://[::1]:PORT/x", 403, "host '::1:PORT' is not allowed"),
        ("http://2130706433:PORT/x", 403, "is not allowed"),
        (f"http://{HOST}:PORT@evil.example/x", 422, "no user and password"),
        (f"http://me@{HOST}:PORT/x", 422, "no user and password"),
        (f"http://evil.example\\@{HOST}:PORT/x", 422, ""),
        (f"ftp://{HOST}:PORT/x", 422, "must be an http or https URL"),
        ("file:///etc/passwd", 422, "must be an http or https URL"),
        ("data:audio/wav;base64,AAAA", 422, "must be an http or https URL"),
        ("/etc/passwd", 422, "must be an http or https URL"),
        ("", 422, "must be an http or https URL"),
        ("http://", 422, ""),
        ("http://[", 422, "is not a URL"),
        (f"http://{HOST}:99999/x", 422, ""),
        (f"http://{HOST}:PORT/a\r\nX: y", 422, ""),
        (f"http://{HOST}:PORT/{'x' * MAX_URL}", 422, f"{MAX_URL} characters at most"),
    ],
)
async def test_other_hosts_ports_and_schemes_are_rejected_unasked(fetching, url, status, said):
    server = await fetching()
    port = str(server.site.port)
    found, detail = await rejected(server, url.replace("PORT", port))
    assert (found, said.replace("PORT", port) in detail) == (status, True), detail
    assert server.site.asked == []
    assert server.app[URL_FETCHER].resolver.asked == []


async def test_a_star_allows_what_is_below_and_case_and_dots_do_not_matter(fetching):
    names = {name: ["127.0.0.1"] for name in ("a.example.net", "a.b.example.net", f"{HOST}.")}
    server = await fetching(names=names)
    for host in ("a.example.net", "A.B.example.NET", HOST.upper()):
        assert (await classified(server, f"http://{host}:{server.site.port}/x"))[0] == 200


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "::1",
     "::ffff:127.0.0.1", "fe80::1", "fd00::1", "64:ff9b::7f00:1", "100.64.0.1"],
)  # fmt: skip
async def test_private_addresses_are_never_connected_to(fetching, address):
    server = await fetching(names={HOST: [address]}, private=False)
    status, detail = await rejected(server, f"{server.base}/x")
    assert status == 403, detail
    assert detail.startswith(HOST)
    assert "is an address of a private network" in detail
    assert server.site.asked == []


async def test_an_allowed_host_by_its_address_is_private_all_the_same(fetching):
    server = await fetching(hosts=("127.0.0.1:1", "localhost:1"), private=False)
    server.app[URL_FETCHER].resolver = None
    for host in ("127.0.0.1", "localhost"):
        status, detail = await rejected(server, f"http://{host}:1/x")
        assert (status, "is an address of a private network" in detail) == (403, True), detail


async def test_a_name_is_resolved_once_and_the_address_checked_is_connected_to(
    fetching,
):
    server = await fetching()
    assert (await classified(server, f"{server.base}/x"))[0] == 200
    assert server.app[URL_FETCHER].resolver.asked == [HOST]
    # The name is another address now: nothing is remembered of it.
    server.app[URL_FETCHER].resolver.names[HOST] = ["127.0.0.2"]
    status, detail = await rejected(server, f"{server.base}/x")
    assert (status, "127.0.0.2 is an address of a private network" in detail) == (403, True)
    assert server.site.asked == ["/x"]


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("http://evil.example/x", 403, "host 'evil.example' is not allowed"),
        ("http://127.0.0.1:PORT/x", 403, "is not allowed"),
        ("//evil.example/x", 403, "host 'evil.example' is not allowed"),
        ("file:///etc/passwd", 422, "must be an http or https URL"),
        ("http://inner.example.net:PORT/x", 403, "is an address of a private network"),
    ],
)
async def test_redirects_are_checked_like_the_first_url(fetching, target, status, said):
    server = await fetching(names={"inner.example.net": ["10.0.0.1"]})
    target = target.replace("PORT", str(server.site.port))
    found, detail = await rejected(server, str(URL(f"{server.base}/to").with_query(url=target)))
    assert (found, said in detail) == (status, True), detail
    assert server.site.asked == ["/to"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/circle", 502, f"sends more than {MAX_REDIRECTS} redirects"),
        ("/status/404", 502, "answers with status 404"),
        ("/status/500", 502, "answers with status 500"),
        ("/status/304", 502, "answers with status 304"),
        ("/gzip", 502, "sends the encoding 'gzip'"),
        ("/empty", 400, "is empty"),
    ],
)
async def test_answers_that_are_no_file_name_the_host(fetching, path, status, said):
    server = await fetching()
    found, detail = await rejected(server, server.base + path)
    assert (found, said in detail, HOST in detail) == (status, True, True), detail
    if path == "/circle":
        assert len(server.site.asked) == MAX_REDIRECTS + 1


async def test_a_host_that_does_not_resolve_or_answer_is_named(fetching):
    server = await fetching(names={HOST: []})
    status, detail = await rejected(server, f"{server.base}/x")
    assert (status, f"{HOST} cannot be reached" in detail) == (502, True), detail
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        server = await fetching(hosts=(f"{HOST}:{port}",))
        server.app[URL_FETCHER].private = frozenset({("127.0.0.1", port)})
        status, detail = await rejected(server, f"http://{HOST}:{port}/x")
    assert (status, f"{HOST} cannot be reached" in detail) == (502, True), detail


async def test_size_is_bounded_stated_or_not(fetching):
    server = await fetching(max_body=len(SOUND))
    assert (await classified(server, f"{server.base}/x"))[0] == 200
    status, detail = await rejected(server, f"{server.base}/endless")
    assert (status, HOST in detail) == (413, True), detail
    server = await fetching(max_body=len(SOUND) - 1)
    status, detail = await rejected(server, f"{server.base}/x")
    assert (status, f"at most {len(SOUND) - 1} are accepted" in detail) == (413, True), detail


async def test_time_is_bounded(fetching):
    server = await fetching(url_timeout=0.2)
    status, detail = await rejected(server, f"{server.base}/slow")
    assert (status, detail) == (504, f"the file did not arrive from {HOST} within 0.2 s")


async def test_memory_of_fetched_files_counts_with_that_of_bodies(fetching):
    server = await fetching(max_buffered=len(SOUND) - 1)
    assert (await rejected(server, f"{server.base}/x"))[0] == 503
    server = await fetching(max_buffered=len(SOUND))
    assert (await classified(server, f"{server.base}/x"))[0] == 200


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("sounds.example.org", ("sounds.example.org", False, None)),
        ("SOUNDS.example.org.", ("sounds.example.org", False, None)),
        ("*.example.org", (".example.org", True, None)),
        ("sounds.example.org:8080", ("sounds.example.org", False, 8080)),
        ("tön.example", ("xn--tn-fka.example", False, None)),
    ],
)
def test_hosts_of_the_setting(text, entry):
    assert tuple(read_entry(text)) == entry


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "*.org", "http://a.example", "a.example/x", "a b", "*.*.org", "a@b"],
)
def test_what_is_no_host_ends_the_start(text):
    with pytest.raises(Unprocessable, match="url_hosts="):
        read_entry(text)
