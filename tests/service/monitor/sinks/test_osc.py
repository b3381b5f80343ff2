"""Open Sound Control at a real socket, read by the package that others read it with."""

import asyncio
import socket

import pytest
from pythonosc.osc_message import OscMessage

from common.errors import Unprocessable
from service.monitor.sinks.osc import MAX_TEXT, Osc, OscSettings
from tests.service.monitor.sinks.test_text_files import MINUTE, NASTY, PROBLEM, event


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(120)
        yield receiving


async def sent(receiver, *records, **more):
    """What comes of records: address and arguments of each."""
    osc = Osc(OscSettings(host="localhost", port=receiver.getsockname()[1], **more))
    for record in records:
        assert await osc.write([record, event(99)]) == 1
    await osc.close()
    messages = [
        OscMessage(await asyncio.to_thread(receiver.recv, 65_536)) for _ in range(len(records))
    ]
    return [(message.address, message.params) for message in messages]


async def test_each_record_is_a_message_with_its_values(receiver):
    found = await sent(receiver, event(ended=False), event(), MINUTE, PROBLEM)
    onset, offset, coverage, problem = found
    assert onset[0] == offset[0] == "/timbre/hall/label/violin"
    assert [onset[1][0], offset[1][0]] == [1, 0]
    assert onset[1][1] == pytest.approx(0.9)
    assert (onset[1][2], onset[1][3][10:], onset[1][4]) == ("violin", "T12:00:00.000Z", "hall-1")
    assert coverage == ("/timbre/hall/coverage", [59, 0, 0, 1, 0])
    assert problem == ("/timbre/hall/problem", [1, "silent", "it is dead"])


async def test_of_a_name_with_both_kinds_of_address_that_of_ipv4_is_used(receiver, monkeypatch):
    ipv6 = socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", 9, 0, 0)
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, **b: [ipv6, *(each for each in real(*a, **b))]
    )
    assert len(await sent(receiver, event())) == 1


@pytest.mark.parametrize("label", [*NASTY, "/a*b?c#d[e]{f}", "nul\0l", "l" * 70_000])
async def test_no_label_breaks_a_message_or_is_a_pattern(label, receiver):
    (((address, params)),) = await sent(receiver, event(label=label), prefix="a/b")
    assert address.startswith("/a/b/hall/label/")
    assert address.count("/") == 5
    assert not set(address) & set(" #*,?[]{}\0")
    assert params[2] == label[:MAX_TEXT].replace("\0", " ")


async def test_what_cannot_be_sent_is_an_error():
    with pytest.raises(OSError, match="known"):
        await Osc(OscSettings(host="none.invalid", port=9)).write([event()])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"host": ""}, "host must name"),
        ({"port": 0}, "port=0 must be between 1 and 65535"),
        ({"port": 65_536}, "port=65536"),
        ({"prefix": "a b"}, "prefix='a b' must be letters"),
    ],
)
def test_what_is_wrong_is_named(changes, told):
    with pytest.raises(Unprocessable, match=told):
        OscSettings(**{"host": "a", "port": 1, **changes})
    assert OscSettings(host="a", port=65_535).port == 65_535
