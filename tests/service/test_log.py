"""Log lines: two forms, one shape from all processes, and nothing that is secret."""

import asyncio
import base64
import json
import logging
import threading

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.store import Store
from service import log as log_module
from service.auth.key_store import FileKeyStore
from service.auth.keys import create_key
from service.log import FailureLog, bound, configure, log, redact, reference, trace
from service.queue.redis_consumer import RedisConsumer
from service.server.worker import Worker
from service.settings import Settings
from service.tracing.start import open_tracer
from tests.service.conftest import begin, noise, pcm, rest_of, tone, wav

CLASSIFY = "/v1/models/toy/classify"
PASSWORD = "hunter-%40-2"
"""In an address; what is meant is `hunter-@-2`."""


@pytest.fixture
def process_log(capfd):
    """Configures the log as a process does; returns what was written so far."""

    def start(**settings):
        configure(**Settings(**settings).log_options)
        return lambda: capfd.readouterr().err

    return start


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_has_time_process_request_event_and_details(process_log):
    written = process_log(log_format="json")
    token, other = reference.set("r-1"), bound.set({"stream": "s-1", "model": "bound"})
    log("stream\nended", ms=1.23456789, windows=3, model="given", why=ValueError("no\x1b"))
    reference.reset(token)
    bound.reset(other)
    log("left", odd=float("nan"), none=None, yes=True)
    first, second = lines_of(written())
    assert first["time"].endswith("Z")
    assert first["time"][10] == "T"
    assert {name: first[name] for name in first if name not in {"time", "pid"}} == {
        "request": "r-1",
        "event": "stream\nended",
        "ms": 1.234568,
        "windows": 3,
        "model": "given",
        "why": "no\x1b",
        "stream": "s-1",
    }
    assert second.keys() == {"time", "pid", "event", "odd", "none", "yes"}
    assert (second["odd"], second["none"], second["yes"]) == ("nan", None, True)


def test_a_text_line_has_the_same_for_the_eye(process_log):
    written = process_log()
    token, other = reference.set("r-1"), bound.set({"stream": "s-1"})
    log("stream\nended", ms=1.23456789, why="two words")
    reference.reset(token)
    bound.reset(other)
    (line,) = written().splitlines()
    assert line[12:] == r" r-1 stream\u000aended ms=1.23 why='two words' stream=s-1"


@pytest.mark.parametrize("as_json", [False, True])
def test_tracebacks_libraries_and_threads_have_the_shape_of_the_log(process_log, as_json):
    written = process_log(log_format="json" if as_json else "text", redis="redis://:s3cret@host")
    try:
        int("a connection with s3cret")
    except ValueError as error:
        trace(error)
        logging.getLogger("a.library").exception("at %s", "redis://user:other@host/0?password=abc")
    logging.getLogger("a.library").info("not at this level")
    logging.getLogger("a.library").error("%d", "a broken message")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    text = written()
    assert [word for word in ("s3cret", "other", "abc", "not at this") if word in text] == []
    if as_json:
        lines = lines_of(text)
        assert [line["event"] for line in lines] == [
            "traceback", "library", "traceback", "library", "traceback"
        ]  # fmt: skip
        assert lines[1]["logger"] == "a.library"
        assert "ZeroDivisionError" in lines[4]["traceback"]
    else:
        assert "library logger=a.library level=ERROR" in text
        assert text.count("Traceback (most recent call last)") == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:pass@host:1/0", "redis://...@host:1/0"),
        ("https://token@host/a and ftp://x:y@z", "https://...@host/a and ftp://...@z"),
        ("timbre, timbre.key.anything-at-all", "timbre, timbre.key...."),
        ("timbre_0123456789ab_abc-DEF", "timbre_0123456789ab_..."),
        ("https://host/a@b", "https://host/a@b"),
        ("unknown option; see https://host/", "unknown option; see https://host/"),
    ],
)
def test_clients_see_no_key_and_no_password(text, shown):
    assert redact(text) == shown


PARTS = (
    *(
        "Authorization: ",
        "BEARER ",
        "basic ",
        "password=",
        "\u017fecret: ",
        "to\u212aen=",
        "ap\u0131_key=",
    ),
    *("x-api-key: ", "timbre_0123456789ab_", "timbre.key.", "https://", "a:b@", "?q=", "abcdefgh "),
)


@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=3)).map("".join))
def test_a_pattern_that_is_left_out_would_hide_nothing(text):
    for patterns in (log_module._NEVER_SHOWN, log_module._NOT_LOGGED):
        hidden = text
        for _, pattern, shown in patterns:
            hidden = pattern.sub(shown, hidden)
        assert log_module._without(patterns, text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}", "{{'Authorization': 'Basic {}'}}", "authorization={}",
        "bearer {}", "with url: /v1/traces?sig={} (Caused by x)", "https://host/a?b=1&c={}",
        "password={}", "{{'api_key': '{}'}}", "x-api-key: {}", "access_token={}&a=b",
    ],
)  # fmt: skip
def test_secrets_of_every_usual_form_are_hidden(process_log, text):
    written = process_log()
    log("event", why=text.format("Zm9vOmJhcg-42"))
    assert "Zm9v" not in (line := written())
    assert "..." in line


def test_a_password_is_hidden_as_it_is_written_and_as_it_is_meant(process_log):
    written = process_log(redis=f"unix://timbre:{PASSWORD}@/socket?password=an%20other")
    log("event", why=f"{PASSWORD} hunter-@-2 an%20other or an other")
    assert "why='... ... ... or ...'" in written()


@pytest.mark.parametrize(("password", "hidden"), [("abc", False), ("abcd", True)])
def test_a_password_so_short_that_it_is_part_of_any_word_is_hidden_in_addresses_only(
    process_log, password, hidden
):
    address = f"redis://:{password}@host"
    written = process_log(redis=address)
    log("abcdef", redis=address)
    line = written()
    assert ("abcdef" not in line) is hidden
    assert "redis=redis://...@host" in line


def test_a_hostile_text_is_hidden_in_time_that_grows_with_its_length(process_log):
    """Each pattern is bounded: a quadratic one would take minutes here."""
    written = process_log()
    for part in ("://", "a?", "password", "token ", "authorization: ", "bearer ", "?a=", "://a@"):
        log("event", why=part * (200_000 // len(part)))
    assert written().count("event") == 8


def test_what_the_exporter_of_traces_logs_has_no_secret(process_log, monkeypatch):
    """Its address may have a user, a password and a query, its headers a token."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20plant-token-1")
    address = f"http://me:{PASSWORD}@127.0.0.1:1/traces?sig=plant-query-2"
    written = process_log(otel=address, log_level="debug")
    tracer = open_tracer(address, ratio=1.0, role="gateway")
    tracer.begin("a", begin=0).trace.finish()
    tracer.close()
    text = written()
    assert "tracing ratio=1" in text
    assert "library" in text
    for hidden in (PASSWORD, "hunter-@-2", "plant-token-1", "plant-query-2"):
        assert hidden not in text


async def plant(server, text):
    """Put secrets wherever a user can, return them. text: a valid key."""
    bearer = {"Authorization": f"Bearer {text}"}
    planted = [f"plant-{number:02}-5f3a" for number in range(14)]
    basic = base64.b64encode(f"me:{planted[0]}".encode()).decode()
    await server.get("/v1/models", headers={"Authorization": f"Bearer {planted[1]}"})
    await server.get("/v1/models", headers={"Authorization": f"Basic {basic}"})
    await server.get("/v1/models", headers={**bearer, "Cookie": f"session={planted[2]}"})
    await server.get("/v1/models", headers={"X-Api-Key": planted[3]})
    for query in (f"key={planted[4]}", f"a={planted[5]}", f"token={planted[6]}", text):
        await server.get(f"/v1/models?{query}", headers=bearer)
    await server.get(f"/v1/models/{text}", headers={**bearer, "X-Request-Id": text})
    url = f"https://me:{planted[7]}@localhost:1/a.wav?sig={planted[8]}"
    for target in (url, url.replace("me:", "me@"), url.replace("https", "http")):
        await server.post(CLASSIFY, params={"url": target}, headers=bearer)
    sound = b"RIFF-" + planted[9].encode() * 9
    status, _, _ = await server.post(CLASSIFY, headers=bearer, data=sound)
    assert status == 415
    status, _, _ = await server.post(CLASSIFY, headers=bearer, data=wav(tone(2)))
    assert status == 200
    for offered in (f"timbre.key.{text}", f"timbre.key.{planted[10]}", planted[11]):
        try:
            async with server.stream(protocols=("timbre", offered)) as socket:
                await begin(socket, source=text, publish=True)
                await socket.send_bytes(pcm(noise(2.5)))
                await socket.send_json({"type": "end", "password": planted[12]})
                await rest_of(socket)
        except aiohttp.WSServerHandshakeError:
            pass
    async with server.stream(headers=bearer) as socket:
        await begin(socket, source=f"https://me:{planted[13]}@host")
        await rest_of(socket)
    async with server.stream(headers=bearer) as socket:
        await begin(socket, source=text[:64], publish=True)
        await socket.send_bytes(pcm(tone(2.5)))
        await socket.send_json({"type": "end"})
        await rest_of(socket)
    return [*planted, basic]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.usefixtures("no_version_is_waited_for")
async def test_no_log_line_has_what_users_put_into_a_request(
    serve, artefacts, redis_server, redis_url, tmp_path, process_log, form
):
    """All that is logged at the level debug, by a gateway and a worker behind Redis."""
    redis_server.client.acl_setuser(
        "tester", enabled=True, reset=True, keys="*", channels="*", commands=["+@all"],
        passwords=["+hunter-@-2"],
    )  # fmt: skip
    address = redis_url.replace("unix://", f"unix://tester:{PASSWORD}@")
    settings = {"redis": address, "log_format": form, "log_level": "debug"}
    written = process_log(**settings)
    key, text = create_key("someone", scopes=("classify", "stream"), rate=1e3, streams=10)
    await FileKeyStore(tmp_path / "keys.json").put(key)
    secret = text.removeprefix(f"timbre_{key.id}_")
    consumer = RedisConsumer(address, name="w")
    worker = Worker(consumer, Store(artefacts).load, max_batch=8, heartbeat=lambda: None)
    running = asyncio.create_task(worker.run())
    server = await serve(keys=str(tmp_path / "keys.json"), url_hosts=("localhost",), **settings)
    hidden = [secret, PASSWORD, "hunter-@-2", *await plant(server, text)]
    log_text = written()
    worker.shut_down()
    await running
    log_text += written()
    redis_server.client.acl_deluser("tester")
    assert "stream ended" in log_text
    assert [each for each in hidden if each in log_text] == []
    if form == "json":
        assert all({"time", "pid", "event"} <= line.keys() for line in lines_of(log_text))


def test_a_failure_that_lasts_is_logged_when_it_begins_and_when_it_is_over(capsys):
    failure = FailureLog("disk full", "disk has room", disk="a")
    failure.worked()
    for why in ("first", "second"):
        failure.failed(why)
    failure.worked()
    failure.worked()
    failure.failed("third")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" - ")[2] for line in lines] == [
        "disk full disk=a why=first",
        "disk has room disk=a",
        "disk full disk=a why=third",
    ]
