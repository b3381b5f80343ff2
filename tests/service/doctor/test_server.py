"""A running server is asked what it can tell; a real one on a free port."""

import re

import pytest

from service.client import Client
from service.doctor import server as checks
from tests.service.server.test_connections import opened

MODEL = {"name": "toy", "version": "1", "provider": "CPU"}


async def test_a_running_server_is_asked_for_its_models_and_the_age_of_a_window(artefacts):
    async with opened(artefacts) as server:
        found = await checks.check_server(Client(server.url))
    assert [finding.check for finding in found] == [
        "server", "clock of the server", "model toy", "model toy-net", "age of a window",
    ]  # fmt: skip
    assert found[0].state == found[2].state == "good"
    assert found[2].found == "version 2 on CPU"
    assert re.match(r"toy: at most [\d.]+ ms of \d+ windows", found[-1].found)


async def test_a_server_that_is_not_there_is_bad():
    [finding] = await checks.check_server(Client("http://127.0.0.1:1"))
    assert finding.state == "bad"
    assert "127.0.0.1:1" in finding.found


@pytest.mark.parametrize(("status", "state"), [(200, "good"), (503, "bad")])
def test_a_server_must_be_ready(status, state):
    assert checks.check_ready("http://x", status, "loading").state == state


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "good"),
        ({"refused": {}, "provider_refused": {}}, "good"),
        ({"refused": {"2": "its sha256 differs"}}, "attention"),
        ({"provider_refused": {"CUDA": "no kernel image"}}, "attention"),
    ],
)
def test_versions_and_providers_that_are_not_used_need_attention(fields, state):
    finding = checks.check_model(MODEL | fields)
    assert finding.state == state
    for reasons in fields.values():
        assert all(why in finding.found for why in reasons.values())


@pytest.mark.parametrize(
    ("ages", "state"),
    [
        ([], "bad"),
        ([1.0, 99.9], "good"),
        ([100.0], "attention"),
        ([1_999.0], "attention"),
        ([2_000.0], "bad"),
    ],
)
def test_windows_must_be_answered_in_time(ages, state):
    assert checks.check_age("toy", ages).state == state


def test_the_header_date_is_compared_with_this_clock():
    date = "Tue, 01 Jan 2030 00:00:00 GMT"
    assert checks.check_date(date, 1_893_456_001)[0].state == "good"
    assert checks.check_date(date, 1_893_456_010)[0].state == "attention"
    assert checks.check_date("", 0) == []
