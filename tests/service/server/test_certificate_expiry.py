"""When certificates expire, against OpenSSL's own reading of them."""

import shutil
import ssl
import subprocess

import pytest

from service.server.certificate_expiry import expires_at

pytestmark = pytest.mark.skipif(
    not shutil.which("openssl"), reason="no openssl on this machine: run 'apt-get install openssl'"
)


def certificate(path, *, days=30, signed=False):
    """A certificate; signed: made from a request, of version 1 where OpenSSL still makes those."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]
    subject = ["-subj", "/CN=localhost"]
    if signed:
        run("req", *key, *subject, "-out", f"{path}.request")
        options = ["-signkey", path, "-days", days, "-out", f"{path}.signed"]
        run("x509", "-req", "-in", f"{path}.request", *options)
    else:
        run("req", "-x509", *key, *subject, "-days", days, "-out", f"{path}.signed")
    return path.with_name(f"{path.name}.signed")


def run(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def by_openssl(path):
    return ssl.cert_time_to_seconds(ssl._ssl._test_decode_cert(str(path))["notAfter"])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("days", [1, 10_000, 40_000])
def test_it_is_the_time_that_openssl_reads(tmp_path, days, signed):
    path = certificate(tmp_path / "a.pem", days=days, signed=signed)
    assert expires_at(path) == by_openssl(path)


def test_of_a_chain_the_first_that_expires_counts_whatever_else_the_file_has(tmp_path):
    paths = [certificate(tmp_path / f"{days}.pem", days=days) for days in (20, 10, 30)]
    chain = tmp_path / "chain.pem"
    texts = [path.read_text() for path in (*paths, tmp_path / "20.pem")]
    chain.write_text("subject=localhost\n" + "\n".join(texts))
    assert expires_at(chain) == by_openssl(paths[1])
