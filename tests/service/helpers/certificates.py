"""Certificates made by openssl for a test."""

import shutil
import subprocess

import pytest


def certificate(folder, name):
    """A self-signed certificate for 127.0.0.1, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine: run 'apt-get install openssl'")
    files = [str(folder / f"{name}.pem"), str(folder / f"{name}.key")]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", "2", "-subj", "/CN=timbre", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    return files
