"""Settings from text; unknown and invalid ones are rejected."""

from pathlib import Path

import pytest

from common.errors import NotAllowed, Unprocessable
from service.settings import LOW_MEMORY, TYPES, Settings, parse


def test_every_kind_of_setting_is_read():
    texts = [
        "port=9",
        "grace=2.5",
        "insecure=true",
        "host=::1",
        "models=a,b",
        "allowed_origins=",
        "artefacts=/x",
    ]
    assert parse(texts) == {
        "port": 9,
        "grace": 2.5,
        "insecure": True,
        "host": "::1",
        "models": ("a", "b"),
        "allowed_origins": (),
        "artefacts": Path("/x"),
    }


def test_every_default_reads_back_from_its_own_text():
    defaults = Settings()
    for name in TYPES:
        value = getattr(defaults, name)
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        text = text.lower() if isinstance(value, bool) else text
        assert parse([f"{name}={text}"]) == {name: value}


@pytest.mark.parametrize("text", ["prot=1", "port=x", "port", "insecure=yes", "grace="])
def test_a_setting_that_is_unknown_or_unreadable_is_named(text):
    with pytest.raises(Unprocessable, match=text.partition("=")[0]):
        parse([text])


@pytest.mark.parametrize(
    "text", ["port=-1", "port=65536", "gateways=0", "grace=nan", "max_batch=-1", "idle_timeout=0"]
)
def test_an_invalid_number_is_rejected(text):
    with pytest.raises(Unprocessable, match=text.partition("=")[0]):
        Settings(**parse([text]))


def test_the_port_of_grpc_is_one_of_its_own_or_none():
    assert (Settings().grpc_port, Settings(grpc_port=0, port=0).grpc_port) == (-1, 0)
    assert Settings(grpc_port=65_535).grpc_port == 65_535
    for port in (-2, 65_536, 8_000):
        with pytest.raises(Unprocessable, match="grpc_port"):
            Settings(port=8_000, grpc_port=port)
    with pytest.raises(Unprocessable, match="metrics_port and grpc_port are both 9000"):
        Settings(grpc_port=9_000, metrics_port=9_000)
    assert Settings(grpc_port=9_000, metrics_port=9_000, metrics_host="::1").metrics_port == 9_000
    assert Settings(port=9_000, metrics_port=9_000).port == 9_000  # a worker listens on one only


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_an_address_beyond_loopback_is_rejected_without_keys_unless_insecure(host):
    for name in ("host", "metrics_host"):
        with pytest.raises(NotAllowed, match=f"{name}={host or 'every address'} can be.*; do so"):
            Settings(**{name: host}).check_exposure("host", "metrics_host", otherwise="do so")
        for allowed in ({"keys": "redis"}, {"insecure": True}):
            Settings(**{name: host}, **allowed).check_exposure("host", name, otherwise="")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_an_address_of_loopback_is_free(host):
    settings = Settings(host=host, metrics_host=host)
    settings.check_exposure("host", "metrics_host", otherwise="")
    assert not Settings(metrics_host=host, keys="redis").guards_metrics


def test_metrics_beyond_loopback_need_a_key_where_there_are_keys_unless_insecure():
    assert Settings(metrics_host="0.0.0.0", keys="redis").guards_metrics
    assert not Settings(metrics_host="0.0.0.0", keys="redis", insecure=True).guards_metrics
    assert not Settings(metrics_host="0.0.0.0").guards_metrics


def test_low_memory_lowers_the_limits_that_are_not_given():
    given = parse(["max_streams=300", "low_memory=true"])
    assert given == LOW_MEMORY | {"low_memory": True, "max_streams": 300}
    lowered, usual = Settings(**given), Settings()
    for name in LOW_MEMORY.keys() - {"max_streams"}:
        assert getattr(lowered, name) < getattr(usual, name)
    assert parse(["low_memory=false"]) == {"low_memory": False}
