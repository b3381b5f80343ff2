"""Host and Origin headers are read strictly, and names are compared in one form."""

import pytest

from common.errors import Unprocessable
from service.hosts import known_hosts, parse_host, parse_origin

OWN = known_hosts(
    "127.0.0.5", ("Timbre.Example.org", "bücher.example", "2001:DB8::1"), any_name=False
)
NAMES = [
    "127.0.0.1",
    "127.0.0.5",
    "127.0.0.1:8000",
    "127.0.0.1:1",
    "127.0.0.1:65535",
    "localhost",
    "LOCALHOST:8000",
    "localhost.",
    "localhost.:8000",
    "[::1]",
    "[::1]:8000",
    "[0:0:0:0:0:0:0:1]",
    "timbre.example.org",
    "TIMBRE.example.ORG.:443",
    "xn--bcher-kva.example",
    "[2001:db8:0::1]:9",
]
FOREIGN = [
    "",
    " ",
    ".",
    "attacker.example",
    "attacker.example:8000",
    "localhost.evil",
    "localhost.evil:8000",
    "evil.localhost.attacker.example",
    "127.0.0.1.attacker.example",
    "127.0.0.2",
    "localhost..",
    "localhost:",
    "localhost:0",
    "localhost:65536",
    "localhost:999999999999",
    "localhost:80:80",
    "localhost:x",
    "localhost:-1",
    "localhost:\u0661",
    "localhost:80@attacker.example",
    "localhost@attacker.example",
    "attacker.example@localhost",
    "user:password@localhost",
    "localhost/",
    "localhost#x",
    "localhost?x",
    "localhost\\attacker.example",
    "localhost, attacker.example",
    "localhost\tx",
    "localhost\n",
    "loca%6chost",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "127.000.000.001",
    "0.0.0.0",
    "::1",
    "[::1",
    "[::1]x",
    "[::1%lo]",
    "[::1%25lo]",
    "[::ffff:127.0.0.1]",
    "[127.0.0.1]",
    "[]",
    "[x]:80",
    "[::]",
    "LOCALHO\u017fT",
    "l\u043ecalhost",
    "\uff4cocalhost",
    "bücher.example",
    "\udcff",
    "x" * 300,
    "http://localhost",
]


@pytest.mark.parametrize("host", NAMES)
def test_a_server_knows_its_own_names_with_any_port(host):
    assert OWN.knows(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_server_knows_no_other_spelling(host):
    assert not OWN.knows(host)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://localhost:8000", "127.0.0.1:8000", True),
        ("HTTP://LOCALHOST:8000", "[::1]:8000", True),
        ("http://localhost", "localhost", True),
        ("https://localhost:443", "localhost", True),
        ("https://localhost", "localhost", True),
        ("http://timbre.example.org:3000", "127.0.0.1:8000", True),
        ("http://127.0.0.1:3000", "127.0.0.1:8000", False),
        ("http://localhost", "localhost:8000", False),
        ("http://attacker.example:8000", "attacker.example:8000", False),
        ("http://attacker.example:8000", "127.0.0.1:8000", False),
        ("http://localhost.evil:8000", "127.0.0.1:8000", False),
        ("ftp://127.0.0.1:8000", "127.0.0.1:8000", False),
        ("127.0.0.1:8000", "127.0.0.1:8000", False),
        ("http://127.0.0.1:8000/", "127.0.0.1:8000", False),
        ("http://a@127.0.0.1:8000", "127.0.0.1:8000", False),
        ("http://[x", "127.0.0.1:8000", False),
        ("http://", "127.0.0.1:8000", False),
        ("null", "127.0.0.1:8000", False),
        ("", "", False),
        ("http://127.0.0.1:8000", "[x", False),
    ],
)
def test_an_origin_is_compared_with_the_names_and_the_port(origin, host, same):
    assert OWN.is_same_origin(origin, host) is same


def test_where_any_name_is_answered_an_origin_is_that_of_the_host():
    server = known_hosts("0.0.0.0", (), any_name=True)
    assert server.knows("anything at all")
    assert server.is_same_origin("https://a.example", "A.example.:443")
    assert not server.is_same_origin("https://b.example", "a.example")


def test_allowed_names_are_enforced_where_any_name_would_be_answered():
    server = known_hosts("0.0.0.0", ("a.example",), any_name=True)
    assert [server.knows(host) for host in ("a.example:1", "localhost", "b.example")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("name", ["", "*", "a.example:80", "http://a.example", "a b", "a..b", "[x"])
def test_an_allowed_name_that_is_no_name_is_rejected(name):
    with pytest.raises(Unprocessable, match="allowed_hosts"):
        known_hosts("127.0.0.1", (name,), any_name=False)


def test_what_is_read_has_one_form():
    assert parse_host("A.Example.:8000") == ("a.example", 8000)
    assert parse_host("[0::1]") == ("::1", None)
    assert parse_origin("HTTPS://A.Example") == ("https", ("a.example", None))
    assert parse_origin("file:///x") == ("", None)
