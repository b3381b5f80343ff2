"""Records sent to a real server: each is there once, whatever is lost on the way."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from common.errors import InputError, Unprocessable
from service.archive.documents import document
from service.archive.receiver import MAX_RECORDS
from service.archive.records import MinuteRecord, ProblemRecord
from service.auth.key_store import open_key_store
from service.monitor.config import make_sink
from service.monitor.sinks.base import SinkError, SinkQueue
from service.monitor.sinks.timbre_server import ServerSettings, TimbreServer
from tests.service.archive.test_database import TOTALS, minute, rows
from tests.service.conftest import until
from tests.service.helpers.keys import new_key
from tests.service.helpers.proxy import Proxy, proxied
from tests.service.monitor.sinks.test_text_files import NOON, PROBLEM, event

COUNT = "SELECT count(*) FROM events"


@pytest.fixture
async def sink():
    made = []

    def make(url, **more):
        made.append(TimbreServer(ServerSettings(url=url, node="attic", **more)))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
async def central(serve, tmp_path):
    """A server with an archive, and the path of that."""
    path = tmp_path / "central.sqlite"
    return await serve(archive=str(path)), path


async def test_records_are_told_under_the_name_of_the_node(central, sink):
    server, path = central
    records = [event(1, ended=False), event(1), minute(0, heard_ms=60_000), PROBLEM]
    assert await sink(server.url + "/").write(records) == 4
    assert rows(path, 'SELECT id, source, "end" IS NULL FROM events') == [
        ("attic.hall-1", "attic.hall", 0)
    ]
    assert rows(path, "SELECT source, heard_ms FROM coverage") == [("attic.hall", 60_000)]
    assert rows(path, "SELECT source, problem FROM problems") == [("attic.hall", "silent")]


async def test_a_batch_has_as_many_records_as_a_server_takes(central, sink):
    server, path = central
    records = [event(number) for number in range(MAX_RECORDS + 1)]
    found = sink(server.url)
    assert await found.write(records) == MAX_RECORDS
    assert await found.write(records[MAX_RECORDS:]) == 1
    assert rows(path, COUNT) == [(MAX_RECORDS + 1,)]


class Losing(Proxy):
    """Takes requests to the server and loses the responses."""

    lost = 0
    losing = True

    async def _pump(self, reader, writer, *, up):
        if not up and self.losing:
            await reader.read(1)
            self.lost += 1
        else:
            await super()._pump(reader, writer, up=up)
        writer.transport.abort()


async def test_what_was_stored_without_a_response_is_stored_once(central, sink):
    server, path = central
    proxy = Losing(int(server.url.rsplit(":", 1)[1]))
    listener = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    found = sink(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    half = minute(0, heard_ms=30_000)
    first = [half, *(event(number) for number in range(9))]
    for _ in range(3):
        with pytest.raises(SinkError, match="no response"):
            await found.write(first)
    assert proxy.lost == 3
    assert rows(path, COUNT) == [(9,)]
    proxy.losing = False
    # Meanwhile others have come, and the oldest three have given way.
    later = [*first[3:], event(100), minute(1, heard_ms=60_000)]
    assert await found.write(later) == 7
    assert await found.write(later[7:]) == 2
    assert rows(path, COUNT) == [(10,)]
    assert rows(path, "SELECT heard_ms FROM coverage") == [(30_000,), (60_000,)]
    listener.close()
    proxy.cut()


async def test_when_all_that_was_sent_has_given_way_the_next_are_sent(central, sink):
    server, path = central
    found = sink(server.url)
    found._sent = [event(1), event(2)]
    assert await found.write([event(3), event(4)]) == 2
    assert rows(path, COUNT) == [(4,)]


async def test_a_server_that_is_away_gets_all_when_it_is_back(central, sink, monkeypatch):
    monkeypatch.setattr("service.monitor.sinks.base.FIRST_WAIT_S", 0.01)
    server, path = central
    async with proxied(server.url) as (proxy, url):
        queue = SinkQueue("timbre 0", sink(url))
        task = asyncio.create_task(queue.run())
        for number in range(300):
            proxy.refusing = number % 3 > 0
            if number % 20 == 0:
                proxy.cut()
            queue.put(event(number))
            queue.put(minute(number, heard_ms=30_000))
            await asyncio.sleep(0)
        proxy.refusing = False
        await until(lambda: not queue.waiting)
        await queue.close(task)
    assert queue.lost == 0
    assert rows(path, COUNT) == [(300,)]
    assert rows(path, "SELECT DISTINCT heard_ms FROM coverage") == [(30_000,)]
    assert set(rows(path, TOTALS)) == {(60_000,)}


async def test_a_record_that_is_refused_is_told_and_left_out_and_no_other(central, sink, capsys):
    server, path = central
    records = [event(number, label="a\nb" if number == 37 else "a") for number in range(100)]
    found, left = sink(server.url), records
    while left:
        left = left[await found.write(left) :]
    assert rows(path, COUNT) == [(99,)]
    log = capsys.readouterr().err
    assert log.count("record refused") == 1
    assert "label=" in log


async def test_a_long_detail_is_cut(central, sink):
    server, path = central
    long = ProblemRecord(source="hall", at_ms=NOON, problem="silent", detail="a" * 5_000)
    assert await sink(server.url).write([long]) == 1
    assert rows(path, "SELECT length(detail) FROM problems") == [(1_000,)]


async def test_other_errors_are_tried_again_with_their_reason(serve, sink, tmp_path):
    without = await serve()
    with pytest.raises(SinkError, match=r"status 404: records are off"):
        await sink(without.url).write([event()])
    keys = tmp_path / "keys.json"
    key, text = new_key(scopes=("classify",))
    right, secret = new_key(scopes=("records",))
    store = open_key_store(str(keys), redis="")
    await store.put(key)
    await store.put(right)
    server = await serve(keys=str(keys), archive=str(tmp_path / "a.sqlite"))
    for token, words in (("", "API key is required"), (text, "scope 'records' is required")):
        with pytest.raises(SinkError, match=words) as error:
            await sink(server.url, token=token).write([event()])
        assert text not in str(error.value)
    assert await sink(server.url, token=secret).write([event()]) == 1


async def test_a_server_that_answers_without_end_is_not_heard_out(sink):
    read = []

    async def answer(request):
        await request.read()
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        with suppress(ConnectionError):
            while len(read) < 1_000:
                await response.write(bytes(65_536))
                read.append(1)
        return response

    app = web.Application()
    app.router.add_post("/v1/records", answer)
    async with TestServer(app) as server:
        with pytest.raises(SinkError, match="status 500"):
            await sink(str(server.make_url("/")).rstrip("/")).write([event()])
    assert len(read) < 1_000


async def test_records_of_a_later_version_are_kept_for_a_later_server(central, sink, monkeypatch):
    server, path = central
    found = sink(server.url)
    with monkeypatch.context() as later:
        later.setattr("service.archive.documents.VERSION", 2)
        told = document(event(1))
    assert told["v"] == 2
    later.setattr(found, "_document", lambda _: told)
    with pytest.raises(SinkError, match=r"status 415: records.0.: v=2 is not known"):
        await found.write([event(1)])
    later.undo()
    assert await found.write([event(1)]) == 1
    assert rows(path, COUNT) == [(1,)]


async def test_nobody_there_is_no_response(sink):
    with pytest.raises(SinkError, match=r"http://127.0.0.1:1: no response: Client"):
        await sink("http://127.0.0.1:1").write([event()])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": "ws://a"}, "must begin with http:// or https://"),
        ({"node": ""}, "node=''"),
        ({"node": "a b"}, "node='a b'"),
        ({"node": "a" * 65}, "node="),
        ({"ca": "/none.pem"}, "/none.pem is not a certificate file"),
        ({"secret": "x"}, "unknown setting secret"),
    ],
)
def test_settings_that_cannot_be_are_named(more, words):
    table = {"kind": "timbre", "url": "http://a", "node": "attic"} | more
    with pytest.raises(InputError, match=words):
        make_sink(table, where="sinks[0]")


def test_a_minute_of_a_recording_is_told_with_it():
    settings = ServerSettings(url="http://a", node="n")
    told = TimbreServer(settings)._document(
        MinuteRecord(source="s", minute_ms=NOON, heard_ms=60_000, recording="k", again=True)
    )
    assert (told["source"], told["recording"]) == ("n.s", "k")
    assert "token" not in repr(ServerSettings(url="http://a", node="n", token="timbre_x"))
    with pytest.raises(Unprocessable):
        ServerSettings(url="file:///a", node="n")
