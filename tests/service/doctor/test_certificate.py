"""The certificate that clients will see: its names and days, as openssl made them."""

import time

import pytest

from service.doctor.certificate import SOON_DAYS, check_certificate, check_days
from tests.service.helpers.certificates import certificate

BEGUN = {"notBefore": "Jan  1 00:00:00 2020 GMT"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "server")


@pytest.mark.parametrize(("days", "state"), [(-1, "bad"), (1, "attention"), (3, "bad")])
def test_a_certificate_is_read_by_a_handshake(pair, days, state):
    # Made for two days.
    [finding] = check_certificate(*pair, now=time.time() + 86_400 * days)
    assert finding.state == state
    assert "for 127.0.0.1; " in finding.found


def test_without_files_nothing_is_said_and_with_one_of_two_it_is_bad(pair):
    assert check_certificate("", "", now=0) == []
    [finding] = check_certificate(str(pair[0]), "", now=0)
    assert finding.state == "bad"
    assert "both tls_certificate and tls_key" in finding.found


@pytest.mark.parametrize(
    ("days", "state"),
    [(SOON_DAYS, "good"), (SOON_DAYS - 0.1, "attention"), (0.1, "attention"), (0, "bad")],
)
def test_a_certificate_should_be_renewed_before_it_ends(days, state):
    fields = {**BEGUN, "subjectAltName": (("DNS", "a.example"),)}
    finding = check_days(fields, ends=2e9, now=2e9 - 86_400 * days)
    assert finding.state == state
    assert "for a.example" in finding.found


def test_a_certificate_without_a_name_is_bad():
    finding = check_days(BEGUN, ends=2e9, now=1.8e9)
    assert finding.state == "bad"
    assert "subjectAltName" in finding.todo
