"""Which gateway on a port has it open, and which says that it is ready."""

import errno
import os

import pytest

from service.server import gateway_states
from service.server.gateway_states import CLOSED, READY, STARTING, GatewayStates, SharedPort


@pytest.fixture
def states(tmp_path):
    """As the supervisor has them; each gateway opens its own."""
    return GatewayStates(tmp_path, count=3)


@pytest.fixture
def gateways(states, tmp_path):
    return [SharedPort(GatewayStates(tmp_path, count=3), number) for number in range(3)]


def test_the_states_of_a_server_that_starts_are_those_of_nobody(states):
    assert states.has(CLOSED)
    assert not states.has(STARTING)
    assert not states.has(READY)


def test_while_none_is_ready_all_have_the_port_and_then_only_those_that_are(gateways):
    first, second, third = gateways
    assert first.claim()
    assert second.claim()
    first.ready()
    assert not second.claim()
    second.closed()
    second.ready()
    assert not third.claim()
    assert first.is_ready
    assert not third.is_ready


def test_when_the_only_one_that_is_ready_has_ended_the_others_have_the_port(states, gateways):
    gateways[0].ready()
    assert not gateways[1].claim()
    states.set(0, CLOSED)
    assert gateways[1].claim()


def test_it_is_not_ready_while_another_would_answer_with_503(gateways):
    first, second, _ = gateways
    assert first.waits_for_others()
    first.claim()
    second.claim()
    first.ready()
    assert first.waits_for_others()
    second.closed()
    assert not first.waits_for_others()
    second.claim()
    second.ready()
    assert not first.waits_for_others()
    assert not second.waits_for_others()


def test_one_that_hangs_holds_the_others_up_for_a_while_only(gateways, monkeypatch):
    monkeypatch.setattr(gateway_states, "CLOSING_S", 0.0)
    gateways[1].claim()
    assert gateways[0].waits_for_others()
    gateways[0].ready()
    assert not gateways[0].waits_for_others()


def test_memory_that_is_full_is_an_error_of_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match="gateways") as caught:
        GatewayStates(tmp_path, count=3)
    assert caught.value.errno == errno.ENOSPC
