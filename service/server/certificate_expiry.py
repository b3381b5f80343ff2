"""When the certificates in a PEM file expire: Python's ssl tells that of a peer only."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END", re.DOTALL | re.ASCII
)
VERSION = 0xA0
"""Tag of the optional first field of a certificate."""
UTC_TIME = 0x17
"""Tag of a time with a year of two digits."""
LONG = 0x80
"""Bit of a length that is followed by its own bytes."""
CENTURY = 50
"""Years of two digits before it are of this century (RFC 5280)."""


def expires_at(path: Path) -> float:
    """Return when the first certificate of a chain expires, seconds since 1970.

    path: of a PEM file that OpenSSL has accepted. Raises OSError.
    """
    return min(_not_after(base64.b64decode(found)) for found in PEM.findall(path.read_bytes()))


def _not_after(der: bytes) -> float:
    """Return the end of validity of an X.509 certificate."""
    certificate = next(_fields(der))[1]
    fields = list(_fields(next(_fields(certificate))[1]))
    # Serial number, algorithm, issuer, validity.
    validity = fields[4 if fields[0][0] == VERSION else 3][1]
    tag, text = list(_fields(validity))[1]
    digits = text.decode().rstrip("Z")
    if tag == UTC_TIME:
        digits = ("20" if int(digits[:2]) < CENTURY else "19") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def _fields(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each field, in DER."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & LONG:
            size = length - LONG
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length
