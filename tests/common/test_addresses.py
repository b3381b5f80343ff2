"""Private, local and special addresses, in every form that stands for them."""

import socket

import pytest

from common.addresses import is_public, literal_endpoints, open_socket

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:100.64.0.1",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "100::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.254",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_of_the_machine_and_its_networks_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "endpoints"),
    [
        ("http://10.0.0.5/x", {("10.0.0.5", 80)}),
        ("https://10.0.0.5/x", {("10.0.0.5", 443)}),
        ("http://[0:0::1]:8000/", {("::1", 8000)}),
        ("http://LOCALHOST:9/", {("127.0.0.1", 9), ("::1", 9)}),
        ("http://shop.example/", set()),
        ("http://2130706433/", set()),
        ("http://10.0.0.5:99999/", set()),
        ("http://[x", set()),
        ("", set()),
    ],
)
def test_only_what_is_written_as_an_address_counts_as_named(url, endpoints):
    assert literal_endpoints([url]) == endpoints


def address_of(host, port=80):
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]


def test_a_socket_is_opened_for_public_addresses_and_those_that_are_allowed():
    private = frozenset({("10.0.0.1", 80)})
    open_socket(address_of("1.1.1.1"), private, ValueError).close()
    open_socket(address_of("10.0.0.1"), private, ValueError).close()
    open_socket(address_of("10.0.0.2"), None, ValueError).close()
    for host, port in (("10.0.0.2", 80), ("10.0.0.1", 81), ("::ffff:10.0.0.2", 80)):
        with pytest.raises(ValueError, match="is an address of a private network"):
            open_socket(address_of(host, port), private, ValueError)
