"""Records posted to a real receiver that fails in many ways."""

import asyncio
import hashlib
import hmac
import json

import pytest
from aiohttp import web

from common.errors import Unprocessable
from service.archive.records import MinuteRecord, ProblemRecord
from service.monitor.sinks import webhook
from service.monitor.sinks.base import SinkError
from service.monitor.sinks.webhook import ATTEMPTS, Webhook, WebhookSettings
from tests.service.monitor.sinks.test_text_files import NOON, event


class Receiver:
    """Answers with the statuses it is given, the last of them for ever."""

    def __init__(self):
        self.statuses, self.requests, self.url = [200], [], ""

    async def answer(self, request):
        self.requests.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if not status:
            await asyncio.sleep(60)
        headers = {"Location": "/other"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    @property
    def bodies(self):
        return [json.loads(body) for _, body in self.requests]


@pytest.fixture
async def receiver():
    found = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?key=s3cret"
    yield found
    await runner.cleanup()


@pytest.fixture
async def hook(receiver):
    made = []

    def make(**more):
        made.append(Webhook(WebhookSettings(url=receiver.url, **more), clock=lambda: 1_000.5))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_an_event_is_posted_at_onset_and_at_its_end(receiver, hook):
    sink = hook()
    for record in (event(1, ended=False), event(1)):
        assert await sink.write([record, event(2)]) == 1
    assert [(body["id"], body["state"]) for body in receiver.bodies] == [
        ("hall-1", "onset"),
        ("hall-1", "offset"),
    ]
    assert receiver.requests[0][0]["Content-Type"] == "application/json"
    assert "Timbre-Signature" not in receiver.requests[0][0]


@pytest.mark.parametrize("states", ["onset", "offset"])
async def test_one_of_the_two_may_be_enough(states, receiver, hook):
    sink = hook(states=states)
    for record in (event(1, ended=False), event(1)):
        await sink.write([record])
    assert [body["state"] for body in receiver.bodies] == [states]


async def test_a_request_is_signed_with_its_time(receiver, hook):
    await hook(secret="shared").write([event()])
    headers, body = receiver.requests[0]
    right = hmac.new(b"shared", b"1000." + body, hashlib.sha256).hexdigest()
    assert headers["Timbre-Signature"] == f"t=1000,v1={right}"


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429])
async def test_what_may_work_later_is_posted_again_so_often(status, receiver, hook, capsys):
    receiver.statuses = [status]
    sink = hook()
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(SinkError, match=f"status {status}") as error:
            await sink.write([event()])
        assert "s3cret" not in str(error.value)
    assert await sink.write([event()]) == 1
    assert len(receiver.requests) == ATTEMPTS
    log = capsys.readouterr().err
    assert log.count("record refused") == 1
    assert "s3cret" not in log
    receiver.statuses = [204]
    assert await sink.write([event(2)]) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
async def test_what_is_refused_is_told_and_left_out(status, receiver, hook, capsys):
    receiver.statuses = [status]
    assert await hook().write([event()]) == 1
    assert len(receiver.requests) == 1
    assert f"status {status}" in capsys.readouterr().err


async def test_a_receiver_that_hangs_or_is_away_is_tried_again(receiver, hook, monkeypatch):
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.2)
    receiver.statuses = [0]
    with pytest.raises(SinkError, match="no response"):
        await hook().write([event()])
    away = Webhook(WebhookSettings(url="http://127.0.0.1:9/"))
    with pytest.raises(SinkError, match="no response"):
        await away.write([event()])
    await away.close()


async def test_a_network_that_is_away_for_long_costs_no_record(receiver):
    away = Webhook(WebhookSettings(url="http://127.0.0.1:9/"))
    for _ in range(ATTEMPTS + 1):
        with pytest.raises(SinkError, match="no response"):
            await away.write([event()])
    away._settings = WebhookSettings(url=receiver.url)
    assert await away.write([event()]) == 1
    assert [body["id"] for body in receiver.bodies] == ["hall-1"]
    await away.close()


async def test_a_receiver_that_hangs_at_one_record_holds_up_the_others_for_so_long(
    receiver, hook, monkeypatch, capsys
):
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.05)
    receiver.statuses, sink = [0], hook()
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(SinkError, match="no response"):
            await sink.write([event()])
    assert await sink.write([event()]) == 1
    assert "record refused" in capsys.readouterr().err


async def test_of_events_that_follow_soon_the_first_is_posted_whole(receiver, hook):
    sink = hook(pause=60)
    for number, seconds in ((1, 0), (2, 59.999), (3, 60)):
        for ended in (False, True):
            start = NOON + round(1000 * seconds)
            await sink.write([event(number, ended=ended, start=start)])
    await sink.write([event(4, label="flute", start=NOON + 1_000)])
    posted = [body["id"] for body in receiver.bodies]
    assert posted == ["hall-1", "hall-1", "hall-3", "hall-3", "hall-4"]


@pytest.mark.parametrize(("least", "count"), [(0.9, 1), (0.901, 0)])
async def test_faint_events_may_be_left_out(least, count, receiver, hook):
    await hook(min_peak=least).write([event()])
    assert len(receiver.requests) == count


async def test_problems_are_posted_and_coverage_if_wanted(receiver, hook):
    problem = ProblemRecord(source="hall", at_ms=NOON, problem="silent", detail="it is dead")
    minute = MinuteRecord(source="hall", minute_ms=NOON, heard_ms=60_000)
    for sink in (hook(), hook(coverage=True)):
        await sink.write([problem])
        await sink.write([minute])
    assert [body["type"] for body in receiver.bodies] == ["problem", "problem", "coverage"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "ftp://me:s3cret@a/"}, "url='ftp://a' must begin with http"),
        ({"min_peak": 1.1}, "min_peak=1.1"),
        ({"min_peak": -0.1}, "min_peak=-0.1"),
        ({"pause": 86_401}, "pause=86401"),
    ],
)
def test_what_is_wrong_is_named_without_secrets(changes, told):
    with pytest.raises(Unprocessable, match=told):
        WebhookSettings(**{"url": "http://a", **changes})
