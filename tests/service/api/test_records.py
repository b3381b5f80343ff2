"""`POST /v1/records`: what other machines have heard, over a real socket."""

import asyncio
import io

import pytest

from service.archive.documents import document
from service.archive.receiver import MAX_BYTES
from service.auth.key_store import open_key_store
from tests.service.api.test_events import next_event
from tests.service.archive.test_database import rows
from tests.service.archive.test_receiver import body
from tests.service.helpers.keys import new_key
from tests.service.monitor.sinks.test_text_files import MINUTE, PROBLEM, event

PATH = "/v1/records"


async def test_what_is_sent_is_in_the_archive_and_its_events_are_published_once(serve, tmp_path):
    server = await serve(archive=str(tmp_path / "a.sqlite"))
    async with server.http.get(f"{server.url}/v1/events?source=attic.hall") as response:
        first = event(1, ended=False, source="attic.hall")
        for _ in range(2):
            sent = body(first, MINUTE, PROBLEM)
            status, answer, _ = await server.post(PATH, data=sent)
            assert status == 200
        assert answer == {"stored": 0}
        _, answer, _ = await server.post(
            PATH, data=body(event(1, source="attic.hall"), event(2, source="other"), batch=2)
        )
        assert answer == {"stored": 2}
        told = [await next_event(response) for _ in range(2)]
    assert [(each["event"], each["data"]["state"]) for each in told] == [
        ("record", "onset"),
        ("record", "offset"),
    ]
    assert told[0]["data"] == document(first)
    assert rows(tmp_path / "a.sqlite", "SELECT count(*) FROM events") == [(2,)]
    assert rows(tmp_path / "a.sqlite", "SELECT count(*) FROM coverage") == [(1,)]


async def test_without_an_archive_there_is_none(serve):
    server = await serve()
    status, answer, _ = await server.post(PATH, data=body(event()))
    assert (status, "--set archive=FILE" in answer["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("data", "options", "status", "detail"),
    [
        (b"{}", {}, 422, "missing field"),
        (b"x", {}, 400, "not JSON"),
        (b"", {}, 400, "empty"),
        (body(event(), more=1), {}, 422, "unknown field more"),
        (body(records=[document(event()) | {"v": 2}]), {}, 415, "records[0]: v=2 is not known"),
        (body(event()), {"params": {"a": "1"}}, 422, "unknown query parameter"),
        (body(event()), {"headers": {"Content-Encoding": "gzip"}}, 415, "Content-Encoding"),
        (body(event()).ljust(MAX_BYTES + 1), {}, 413, str(MAX_BYTES)),
    ],
)
async def test_what_is_wrong_is_named(serve, tmp_path, data, options, status, detail):
    server = await serve(archive=str(tmp_path / "a.sqlite"))
    # Of bytes this long aiohttp warns.
    got, answer, _ = await server.post(PATH, data=io.BytesIO(data), **options)
    assert (got, detail in answer["detail"]) == (status, True)
    assert not (tmp_path / "a.sqlite").exists()


async def test_a_body_of_just_the_limit_is_read(serve, tmp_path):
    server = await serve(archive=str(tmp_path / "a.sqlite"))
    status, _, _ = await server.post(PATH, data=body(event()).ljust(MAX_BYTES))
    assert status == 200


async def test_a_full_archive_is_told(serve, tmp_path):
    server = await serve(archive=str(tmp_path / "a.sqlite"), max_archive_bytes=1)
    assert (await server.post(PATH, data=body(event(1))))[0] == 200
    status, answer, _ = await server.post(PATH, data=body(event(2), batch=2))
    assert (status, "bytes" in answer["detail"]) == (507, True)
    # What is there already is no reason to send it for ever.
    assert (await server.post(PATH, data=body(event(1))))[1] == {"stored": 0}


async def test_a_key_needs_the_scope(serve, tmp_path):
    store = open_key_store(str(tmp_path / "keys.json"), redis="")
    texts = {}
    for scope in ("records", "events", "classify"):
        key, texts[scope] = new_key(scope, scopes=(scope,))
        await store.put(key)
    server = await serve(archive=str(tmp_path / "a.sqlite"), keys=str(tmp_path / "keys.json"))
    statuses = {}
    for scope, text in texts.items():
        headers = {"Authorization": f"Bearer {text}"}
        statuses[scope], *_ = await server.post(PATH, data=body(event()), headers=headers)
    assert statuses == {"records": 200, "events": 403, "classify": 403}
    assert (await server.post(PATH, data=body(event())))[0] == 401
    # And who may send records may not read others'.
    headers = {"Authorization": f"Bearer {texts['records']}"}
    assert (await server.get("/v1/events", headers=headers))[0] == 403


async def test_two_gateways_of_one_archive_store_a_batch_once(serve, tmp_path):
    path = str(tmp_path / "%Y.sqlite")
    servers = [await serve(archive=path) for _ in range(2)]
    answers = await asyncio.gather(
        *(servers[at % 2].post(PATH, data=body(event(1), MINUTE)) for at in range(10))
    )
    assert sorted(answer["stored"] for _, answer, _ in answers) == [0] * 9 + [2]


async def test_a_server_that_leaves_takes_no_more(serve, tmp_path):
    server = await serve(archive=str(tmp_path / "a.sqlite"))
    await server.gateway.shut_down()
    status, _, headers = await server.post(PATH, data=body(event()))
    assert (status, bool(headers["Retry-After"])) == (503, True)
